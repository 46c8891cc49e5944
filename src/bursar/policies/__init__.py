"""Decides online, event by event: pure objects with `decide(state, now, price)`.

batching        who runs in an engine's next step
ordering        in which order requests that are all there are served
queueing        whose request goes next where many share servers
partitioning    how much of a device prompts get, and how much decodes, while both run
diffusion       who takes part in the next step of a diffusion language model
routing         which replica an arriving request joins
migration       which running jobs move to another replica
lending         which replica lends memory to which
scaling         how many replicas a fleet has
power           how fast a row of servers may run
workflows       where each call of a query of several stages runs
expert_offload  where the experts of a layer run, on CPU or GPU, and which stay on the GPU
expert_cache    which experts are fetched into fast memory, before they are needed or then
expert_loading  in which order the parts of a layer's experts are loaded
"""
