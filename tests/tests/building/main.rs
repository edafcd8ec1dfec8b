//! The whole gateway on a simulated building, from the simulator's bytes to the pages' API.
//!
//! They wait for wires and for the silence of meters more than they work, and so they stand in one
//! program, which runs several of them at once.

mod api_peer;
mod backup;
mod bad_machine;
mod bms_peer;
mod bus_scan;
mod captured_frames;
mod commission;
mod crowd;
mod daemon;
mod han;
mod meter_goes_away;
mod modbus_peer;
mod mqtt;
mod onewire;
mod pulse;
mod radio;
mod stored_survives;
mod weather;
mod wire_doctor;
