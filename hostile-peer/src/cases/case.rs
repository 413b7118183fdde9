//! One stimulus of a row, and the expected reaction.

use std::rc::Rc;

use quic_core::{Space, TransportParameters};

use crate::{
    peer::{Peer, Tamper, encode},
    world::{ALPN, Options, Stage},
};

/// The datagrams that the peer sends once the handshake has reached the stage of the case.
pub type Stimulus = Box<dyn Fn(&mut Peer) -> Vec<Vec<u8>>>;

/// Encodes the honest transport parameters, with or without changes.
pub type Params = Rc<dyn Fn(TransportParameters) -> Vec<u8>>;

/// Changes the handshake messages of a level.
pub type Rewrite = Rc<dyn Fn(Space, Vec<u8>) -> Vec<u8>>;

/// The expected reaction of the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// CONNECTION_CLOSE of type 0x1c with one of these codes, and with this frame type if the table requires
    /// one.
    Close {
        /// The codes.
        codes: Vec<u64>,
        /// The frame type.
        frame_type: Option<u64>,
    },
    /// None: the handshake completes, and the connection continues.
    Alive,
}

/// One stimulus of a row.
pub struct Case {
    /// The row.
    pub row: &'static str,
    /// A description of the stimulus.
    pub what: String,
    /// The stage of the handshake at which it begins; `None` if the handshake itself is the case.
    pub stage: Option<Stage>,
    /// The peer's transport parameters.
    pub params: Params,
    /// Changes handshake messages.
    pub rewrite: Option<Rewrite>,
    /// The peer's ALPN protocol, if it differs from the endpoint's.
    pub alpn: Option<&'static [u8]>,
    /// The stimulus.
    pub stimulus: Stimulus,
    /// The expected reaction.
    pub expect: Expect,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {:?}", self.row, self.what, self.expect)
    }
}

impl Case {
    pub(super) fn new(
        row: &'static str,
        what: impl Into<String>,
        stage: Option<Stage>,
        expect: Expect,
    ) -> Self {
        Self {
            row,
            what: what.into(),
            stage,
            params: Rc::new(|honest| encode(&honest)),
            rewrite: None,
            alpn: None,
            stimulus: Box::new(|_| Vec::new()),
            expect,
        }
    }

    pub(super) fn with(mut self, stimulus: impl Fn(&mut Peer) -> Vec<Vec<u8>> + 'static) -> Self {
        self.stimulus = Box::new(stimulus);
        self
    }

    /// One honest packet of a space, whose frames are the case.
    pub(super) fn frames(
        row: &'static str,
        what: impl Into<String>,
        stage: Stage,
        payload: Vec<u8>,
        expect: Expect,
    ) -> Self {
        let space = space_of(stage);
        Self::new(row, what, Some(stage), expect).with(move |peer| vec![peer.sealed(space, payload.clone())])
    }

    /// The options of a world for this case.
    #[must_use]
    pub fn options(&self) -> Options {
        let params = Rc::clone(&self.params);
        Options {
            params: Box::new(move |honest| params(honest)),
            alpn: self.alpn.unwrap_or(ALPN).to_vec(),
            ..Options::default()
        }
    }

    /// Changes the peer's handshake messages.
    #[must_use]
    pub fn tamper(&self) -> Option<Tamper> {
        let rewrite = self.rewrite.clone()?;
        Some(Box::new(move |space, bytes| rewrite(space, bytes)))
    }
}

pub(super) fn space_of(stage: Stage) -> Space {
    match stage {
        Stage::Initial => Space::Initial,
        Stage::Handshake => Space::Handshake,
        Stage::Confirmed => Space::Data,
    }
}

pub(super) fn close(code: u64, frame_type: u64) -> Expect {
    Expect::Close { codes: vec![code], frame_type: Some(frame_type) }
}

pub(super) fn close_any(codes: &[u64]) -> Expect {
    Expect::Close { codes: codes.to_vec(), frame_type: None }
}
