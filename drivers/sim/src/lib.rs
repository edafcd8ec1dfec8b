//! A simulated building whose meters speak the real wire protocols.
