//! What is to be done when something is not as it was.

/// What to do when the record is gone though the group is there, so that position and state are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordLost {
    /// End with an error; nothing is repeated behind anybody's back. The default.
    #[default]
    Stop,
    /// Begin anew at the configured start with fresh state: entries are handled again, and publishes repeated.
    StartOver,
}

/// What to do when the stream was replaced by one whose IDs are lower than the position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamReplaced {
    /// End with an error. The default.
    #[default]
    Stop,
    /// Keep the state and handle what the new stream holds, from its beginning.
    ReadAgain,
    /// Keep the state and go on with entries that are added from now on.
    Skip,
}

/// What to do when entries were trimmed from the stream before they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnreadTrimmed {
    /// Count them, say so in the log, and go on behind them. The default.
    #[default]
    Warn,
    /// End with an error: before anything behind them is handled where an attach finds them, else at the next renewal.
    Stop,
}
