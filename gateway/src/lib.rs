//! The daemon and command line fyrhus.
