//! Marionette, the protocol by which Firefox is driven from outside: what geckodriver speaks to it.
//!
//! Messages are JSON behind their length in decimal digits and a colon. A command is `[0, id, name, parameters]`, its
//! answer `[1, id, error, result]`; Firefox introduces itself first.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::Mutex,
};

/// Answers of these tests are far smaller: anything above is a misunderstanding.
const LARGEST: usize = 64 << 20;

/// A connection, over which one command is under way at a time.
#[derive(Debug)]
pub struct Marionette {
    wire: Mutex<Wire>,
}

#[derive(Debug)]
struct Wire {
    stream: BufReader<TcpStream>,
    last_id: u64,
}

impl Marionette {
    /// Connects to a browser on this machine.
    ///
    /// # Errors
    /// Says what went wrong, also if something else than Firefox listens there.
    pub async fn connect(port: u16) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
        let mut wire = Wire { stream: BufReader::new(stream), last_id: 0 };
        let hello = wire.read().await?;
        if hello["marionetteProtocol"] != json!(3) {
            return Err(format!("{hello} is not the greeting of protocol 3"));
        }
        Ok(Self { wire: Mutex::new(wire) })
    }

    /// Sends a command; its result.
    ///
    /// # Errors
    /// What Firefox objects to, or what is wrong with the connection.
    pub async fn command(&self, name: &str, parameters: Value) -> Result<Value, String> {
        let mut wire = self.wire.lock().await;
        wire.last_id += 1;
        let id = wire.last_id;
        wire.write(&json!([0, id, name, parameters])).await?;
        loop {
            let mut answer = wire.read().await?;
            // An answer to a command whose caller gave up waiting is passed over.
            if answer[0] == json!(1) && answer[1] == json!(id) {
                return if answer[2].is_null() { Ok(answer[3].take()) } else { Err(complaint(&answer[2])) };
            }
        }
    }
}

fn complaint(error: &Value) -> String {
    match (error["error"].as_str(), error["message"].as_str()) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        _ => error.to_string(),
    }
}

impl Wire {
    async fn write(&mut self, message: &Value) -> Result<(), String> {
        let message = message.to_string();
        let framed = format!("{}:{message}", message.len());
        self.stream.write_all(framed.as_bytes()).await.map_err(|error| error.to_string())
    }

    async fn read(&mut self) -> Result<Value, String> {
        let length = self.read_length().await?;
        let mut content = vec![0; length];
        self.stream.read_exact(&mut content).await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&content).map_err(|error| error.to_string())
    }

    async fn read_length(&mut self) -> Result<usize, String> {
        let mut length = 0_usize;
        loop {
            let byte = self.stream.read_u8().await.map_err(|error| error.to_string())?;
            match byte {
                b':' => return Ok(length),
                b'0'..=b'9' if length < LARGEST => length = length * 10 + usize::from(byte - b'0'),
                _ => return Err(format!("byte {byte} in the length of a message")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::wait::within;

    fn framed(message: &str) -> String {
        format!("{}:{message}", message.len())
    }

    /// A browser that greets, checks the first command and answers with `answers`.
    async fn browser(greeting: String, answers: String) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.write_all(greeting.as_bytes()).await.expect("written");
            let expected = framed(r#"[0,1,"Name",{"a":1}]"#);
            let mut command = vec![0; expected.len()];
            // Another command gets no answer.
            if stream.read_exact(&mut command).await.is_ok() && command == expected.as_bytes() {
                stream.write_all(answers.as_bytes()).await.expect("written");
            }
        });
        port
    }

    fn greeting() -> String {
        framed(r#"{"applicationType":"gecko","marionetteProtocol":3}"#)
    }

    async fn answer(answers: String) -> Result<Value, String> {
        let port = browser(greeting(), answers).await;
        let marionette = within("greeting", Marionette::connect(port)).await.expect("connected");
        within("answer", marionette.command("Name", json!({ "a": 1 }))).await
    }

    #[tokio::test]
    async fn a_command_gets_its_own_answer() {
        let answers = framed(r#"[1,9,null,"of another"]"#) + &framed(r#"[1,1,null,{"b":2}]"#);
        assert_eq!(answer(answers).await, Ok(json!({ "b": 2 })));
    }

    #[tokio::test]
    async fn an_error_is_told_in_words() {
        let answers = framed(r#"[1,1,{"error":"kind","message":"words"},null]"#);
        assert_eq!(answer(answers).await, Err("kind: words".to_owned()));
    }

    #[tokio::test]
    async fn something_else_than_firefox_is_told_apart() {
        for greeting in ["2:{}", "220 mail.example\r\n", "999999999999999:"] {
            let port = browser(greeting.to_owned(), String::new()).await;
            assert!(within("verdict", Marionette::connect(port)).await.is_err(), "{greeting}");
        }
    }
}
