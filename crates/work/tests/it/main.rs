//! What the room does, at its public edge.

mod keep;
mod recover;
mod webhooks;
