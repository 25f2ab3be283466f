//! Phases that wait for others than the two streams of a relay.

use std::io;
use std::task::{Context, Poll, ready};

use pointsman_core::exchange::{Event, FailureClass};

use super::At;
use super::turn::Turn;
use super::work::Work;
use crate::traffic::{Ending, Traffic, Trip};

impl<T: Trip> Work<T> {
    /// Whether the client has gone while we wait for others. Bytes that it sends meanwhile are kept for later.
    pub(super) fn client_gone<F>(&mut self, at: &mut At<'_, '_, F>) -> bool {
        if !self.upload.flow.ended {
            return false;
        }
        while !self.request.is_full() {
            match self.request.poll_fill(at.task, at.client) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0) | Err(_)) => return true,
                Poll::Ready(Ok(_)) => {}
            }
        }
        false
    }

    pub(super) fn wait<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        if self.client_gone(at) {
            return self.abandon(at, Ending::ClientGone);
        }
        match self.trip.as_mut().map(|trip| trip.poll_wake(at.task)) {
            Some(Poll::Pending) => Turn::Wait,
            _ => self.advance(at, Event::Wake),
        }
    }

    pub(super) fn wait_connected<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        if self.client_gone(at) {
            return self.abandon(at, Ending::ClientGone);
        }
        match self.poll_connected(at.task) {
            Poll::Pending => Turn::Wait,
            Poll::Ready(Ok(())) => {
                self.send_head(at);
                Turn::Go
            }
            Poll::Ready(Err(_)) => self.node_failed(at, FailureClass::Connect),
        }
    }

    fn poll_connected(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(link) = &self.link else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        ready!(link.stream.get_ref().poll_write_ready(task))?;
        Poll::Ready(link.stream.get_ref().take_error()?.map_or(Ok(()), Err))
    }
}
