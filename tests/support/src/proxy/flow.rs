//! The bytes on their way in one direction.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::hold::Stay;
use super::settings::{Settings, Side};

/// One request, or one reply with the request it answers.
#[derive(Debug)]
struct Frame {
    due: Instant,
    bytes: Arc<[u8]>,
    request: Arc<[u8]>,
    stay: Option<Stay>,
}

#[derive(Debug)]
pub(super) struct Flow {
    side: Side,
    waiting: VecDeque<Frame>,
    /// What may be written now.
    pub(super) ready: Vec<u8>,
}

impl Flow {
    pub(super) fn new(side: Side) -> Self {
        Self { side, waiting: VecDeque::new(), ready: Vec::new() }
    }

    pub(super) fn push(&mut self, due: Instant, bytes: Arc<[u8]>, request: Arc<[u8]>) {
        self.waiting.push_back(Frame { due, bytes, request, stay: None });
    }

    /// Makes ready what is due and not held, and returns the requests among it or behind it.
    pub(super) fn admit(&mut self, settings: &Settings) -> Vec<Arc<[u8]>> {
        let now = Instant::now();
        let mut admitted = Vec::new();
        while let Some(frame) = self.waiting.front_mut() {
            if frame.due > now {
                break;
            }
            match &frame.stay {
                Some(stay) if !stay.is_over(&settings.holds) => break,
                Some(_) => {}
                None => {
                    if let Some(point) = settings.hold_on(self.side, &frame.request) {
                        frame.stay = Some(Stay::at(point.clone()));
                        break;
                    }
                }
            }
            self.ready.extend_from_slice(&frame.bytes);
            admitted.push(frame.request.clone());
            self.waiting.pop_front();
        }
        admitted
    }

    /// When the next frame is due, unless a hold decides.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().filter(|frame| frame.stay.is_none()).map(|frame| frame.due)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.ready.clear();
    }
}
