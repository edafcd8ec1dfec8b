//! The service for owners of many buildings.
