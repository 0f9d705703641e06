"""Past one machine: the only place that knows Ray. Whoever imports something from here has Ray imported when it is used."""
