//! What a client still sends is read before it is answered, also where nobody asked for it: a connection that is closed on unread bytes is
//! reset, and the client loses the answer (RFC 9112 9.6).

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Version;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Bytes of a body that are read for nothing: what is longer is cut off.
const BYTES_MAX: usize = 1 << 20;
/// How long that may take.
const WAIT: Duration = Duration::from_secs(5);

/// Answers, and reads what the handler left of the request's body. A client that asks whether it may send it (RFC 9110 10.1.1) has sent nothing yet,
/// and one of HTTP/2 is answered on a stream of its own.
pub(crate) async fn read_to_the_end(request: Request, next: Next) -> Response {
    if request.headers().contains_key(EXPECT) || request.version() == Version::HTTP_2 {
        return next.run(request).await;
    }
    let (back, mut left) = oneshot::channel();
    let answer = next.run(request.map(|body| Body::new(Lent { body, back: Some(back) }))).await;
    if let Ok(rest) = left.try_recv() {
        let _ = tokio::time::timeout(WAIT, pass_over(rest)).await;
    }
    answer
}

async fn pass_over(mut body: Body) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > BYTES_MAX {
            break;
        }
    }
}

/// A request's body that comes back when its handler drops it before the end.
struct Lent {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take().filter(|_| !self.body.is_end_stream()) {
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use crate::rooms::Connections;
    use crate::server::serve;
    use axum::Router;
    use axum::http::StatusCode;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const HEAD: &str = "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n";

    /// As a client does that sends head and body by themselves, on a busy machine.
    #[tokio::test]
    async fn a_refusal_before_the_body_came_reaches_the_client_and_the_connection_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(async || StatusCode::NOT_FOUND);
        let connections = Connections { at_once_max: 2, of_address_max: 2 };
        let server = tokio::spawn(serve(listener, None, router, connections));
        let mut client = TcpStream::connect(address).await.unwrap();
        for _ in 0..3 {
            client.write_all(format!("{HEAD}\r\n").as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.write_all(b"body").await.unwrap();
            assert_eq!(status(&mut client).await, "HTTP/1.1 404");
        }
        client.write_all(format!("{HEAD}Expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(status(&mut client).await, "HTTP/1.1 404", "it is not invited to send what nobody reads");
        server.abort();
    }

    async fn status(client: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        String::from_utf8_lossy(&head[..12]).into_owned()
    }
}
