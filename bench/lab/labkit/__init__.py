"""The lab: real services, real faults, and a record of both."""
