//! A peer that speaks frames by hand: what no client of moorline's would send.

use moorline_core::wire::{
    Ack, Binary, Close, Codec, Hello, Json, Packet, Ready, Recovery, VERSION,
};
use moorline_core::{
    Acceptor, BoxReceiver, BoxSender, BoxTransport, CloseFrame, ConnectRequest, ConnectionId,
    Frame, Incoming, Pending, Receiver, Sender, Transport,
};

use super::Stage;
use super::erased::AnyAcceptor;

/// One end of a link.
pub(crate) struct Stranger {
    stage: Stage,
    sender: BoxSender,
    receiver: BoxReceiver,
}

impl Stranger {
    pub(crate) async fn connect(stage: &Stage, transport: BoxTransport) -> Self {
        let request = ConnectRequest::default();
        let link = stage.within("the stranger connects", transport.connect(&request)).await;
        let (sender, receiver) = link.unwrap();
        Self { stage: stage.clone(), sender, receiver }
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        let stage = self.stage.clone();
        stage.within("the stranger sends", self.sender.send(frame)).await.unwrap();
        stage.within("the stranger flushes", self.sender.flush()).await.unwrap();
    }

    /// Whether it could be sent.
    pub(crate) async fn try_send(&mut self, frame: Frame) -> bool {
        let stage = self.stage.clone();
        let sent = async {
            self.sender.send(frame).await?;
            self.sender.flush().await
        };
        stage.within("the stranger sends", sent).await.is_ok()
    }

    pub(crate) async fn say(&mut self, packet: &Packet) {
        self.send(Binary.encode(packet.clone()).unwrap()).await;
    }

    /// Says hello as a client does that takes `window` bytes, and waits to be let in.
    pub(crate) async fn greet(&mut self, window: u64) {
        let hello =
            Hello { version: VERSION, attempt: 1, window, max_frame: 1 << 20, ..Hello::default() };
        self.say(&Packet::Hello(Box::new(hello))).await;
        let answer = self.hear().await;
        assert!(matches!(answer, Heard::Packet(Packet::Ready(_))), "{answer:?}");
    }

    /// As a server: hears hello, and lets the client in.
    pub(crate) async fn welcome(&mut self) {
        let hello = self.hear().await;
        assert!(matches!(hello, Heard::Packet(Packet::Hello(_))), "{hello:?}");
        let ready = Ready {
            version: VERSION,
            id: ConnectionId::new("guest").unwrap(),
            window: 1 << 18,
            max_frame: 1 << 20,
            properties: Vec::new(),
            session: None,
            recovery: Recovery::Fresh,
        };
        self.say(&Packet::Ready(Box::new(ready))).await;
    }

    pub(crate) async fn acknowledge(&mut self, numbered: u64) {
        self.say(&Packet::Ack(Ack { numbered, unnumbered: 0 })).await;
    }

    /// What comes next, which must come; signs of life aside.
    pub(crate) async fn hear(&mut self) -> Heard {
        let stage = self.stage.clone();
        let next = async {
            loop {
                match self.receiver.receive().await {
                    Ok(Some(Incoming::Activity)) => {}
                    other => return other,
                }
            }
        };
        match stage.within("the stranger hears", next).await {
            Ok(Some(Incoming::Frame(frame @ Frame::Text(_)))) => {
                Heard::Packet(Json.decode(frame).unwrap())
            }
            Ok(Some(Incoming::Frame(frame))) => Heard::Packet(Binary.decode(frame).unwrap()),
            Ok(Some(Incoming::Close(close))) => Heard::Close(close),
            Ok(Some(Incoming::Activity) | None) | Err(_) => Heard::End,
        }
    }

    /// Everything up to the link's end: the error and the close that were told, and the link's own close.
    pub(crate) async fn farewell(&mut self) -> Farewell {
        let mut farewell = Farewell::default();
        loop {
            match self.hear().await {
                Heard::Packet(Packet::Error(error)) => farewell.error = Some(error.code),
                Heard::Packet(Packet::Close(close)) => farewell.close = Some(close),
                Heard::Packet(_) => {}
                Heard::Close(close) => {
                    farewell.link = Some(close);
                    return farewell;
                }
                Heard::End => return farewell,
            }
        }
    }
}

/// A server that speaks frames by hand.
pub(crate) struct Host {
    stage: Stage,
    acceptor: AnyAcceptor,
}

impl Host {
    pub(super) async fn listen(stage: &Stage, mut acceptor: AnyAcceptor) -> Self {
        acceptor.listen().await.unwrap();
        Self { stage: stage.clone(), acceptor }
    }

    /// The next link, which must come.
    pub(crate) async fn accept(&mut self) -> Stranger {
        let stage = self.stage.clone();
        let arrival = async {
            loop {
                // Some connections only serve a link of another one's.
                if let Ok(link) = self.acceptor.accept().await.unwrap().handshake().await {
                    break link;
                }
            }
        };
        let (sender, receiver, _) = stage.within("a client connects", arrival).await;
        Stranger { stage, sender, receiver }
    }
}

/// What a stranger hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Packet(Packet),
    Close(CloseFrame),
    End,
}

/// How a link ended.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    /// The code of the error packet.
    pub(crate) error: Option<String>,
    /// The close packet.
    pub(crate) close: Option<Close>,
    /// The link's close.
    pub(crate) link: Option<CloseFrame>,
}
