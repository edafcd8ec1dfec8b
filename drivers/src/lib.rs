//! Buses, the meters on them, and device profiles: from the wire to a reading.
