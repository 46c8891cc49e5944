"""The dashboard: a page without a build step and without any address but the gateway's own.

pages.py  serves it, with a content security policy that allows nothing inline
static/   the page: main.js draws what /admin/v1/seen says, the rest is by its name
"""
