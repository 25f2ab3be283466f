//! The host against guests of every kind. The guests stand in `tests/guests`; `guests_are_all_met` keeps each of them
//! named by a test.

mod budgets;
mod compiling;
mod contract;
mod guest;
mod hostile;
mod leaks;
mod quarantine;
mod refused;
mod setup;
mod workers;
