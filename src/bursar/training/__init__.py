"""Training the built-in models (needs torch; nothing else imports this package).

    python -m bursar.training.train --size tiny-1m --minutes 25
    python -m bursar.training.train --size tiny-0.3m --minutes 15
    python -m bursar.training.train_verifier --size tiny-1m
    python -m bursar.training.train_verifier --size tiny-0.3m
    python -m bursar.training.evaluate
    python -m bursar.training.train_moe --minutes 12
    python -m bursar.training.record_routing
    python -m bursar.training.train_points
    python -m bursar.training.train_scales

`traces` makes the documents, `model` is the network, `sampling` generates in torch,
`verifier_data` labels the steps of sampled solutions; `moe` is the mixture of experts.
"""
