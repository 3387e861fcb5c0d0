"""The playbooks that are right for the lab's faults, by the names that truth.json has.

A name is a verb and what it acts on, and is what people who run such services call the remedy; README.md says where
the words come from. `annotate` and `record` both take them from here.
"""

PLAYBOOKS = {
    "restart-service": "start the process again; it is dead or answers nothing",
    "terminate-idle-connections": "end sessions that hold connection slots and do nothing",
    "terminate-blocking-session": "end the session that holds the lock the others wait for",
    "free-disk-space": "remove what filled the volume",
    "reclaim-cache-memory": "delete or expire keys of the cache that is at its limit",
    "restore-index": "build the index again whose loss made lookups read the whole table",
    "block-client-address": "keep one client away that harms the others",
    "renew-certificate": "issue and load a new certificate",
    "restore-dns-zone": "put back the last zone that was good",
    "raise-memory-limit": "give the service the memory its work needs, then look why it needs it",
    "roll-back-config": "put back the last configuration that was good",
    "roll-back-release": "put back the last release that was good",
    "repair-network-link": "take traffic off the link that loses packets, or mend it",
    "end-runaway-process": "end the process that takes the processor from the service",
}

# The right one for each scenario with a fault.
RIGHT = {
    "postgres_killed": "restart-service",
    "postgres_slots": "terminate-idle-connections",
    "postgres_lock": "terminate-blocking-session",
    "postgres_disk_full": "free-disk-space",
    "postgres_slow_query": "restore-index",
    "postgres_packet_loss": "repair-network-link",
    "pricing_stalled": "restart-service",
    "pricing_killed": "restart-service",
    "pricing_memory_leak": "roll-back-release",
    "pricing_log_flood": "roll-back-config",
    "pricing_tls_expired": "renew-certificate",
    "shop_killed": "restart-service",
    "shop_upstream_timeout": "block-client-address",
    "shop_oom_killed": "raise-memory-limit",
    "shop_cpu_hog": "end-runaway-process",
    "redis_killed": "restart-service",
    "redis_stalled": "restart-service",
    "redis_oom": "reclaim-cache-memory",
    "redis_crash_loop": "roll-back-config",
    "dns_zone_lost": "restore-dns-zone",
    "proxy_brute_force": "block-client-address",
}
