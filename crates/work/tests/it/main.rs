//! What the room does, at its public edge.

mod recover;
mod webhooks;
