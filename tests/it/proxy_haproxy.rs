//! HAProxy before and behind the balancer: what others write we read, and what we write others read.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::client::connect;
use crate::config::over;
use crate::daemon::Daemon;

/// From Debian's package; `tests/run install` installs it.
const HAPROXY: &str = "/usr/sbin/haproxy";

/// A HAProxy that listens on sockets of ours; ends when dropped.
struct Haproxy {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Haproxy {
    fn start(sections: &str) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = dir.path().join("haproxy.cfg");
        let text =
            format!("defaults\n timeout connect 5s\n timeout client 15s\n timeout server 15s\n{sections}");
        std::fs::File::create(&file).unwrap().write_all(text.as_bytes()).unwrap();
        let child = Command::new(HAPROXY).arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{HAPROXY}: {error}")), _dir: dir }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A listening socket that a child inherits.
fn inherited() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    fcntl_setfd(&listener, FdFlags::empty()).unwrap();
    listener
}

#[test]
fn haproxy_and_we_understand_each_other() {
    // Behind: it says who it was told the client is, and whom that had called.
    let behind = inherited();
    let tells =
        "http-request return content-type text/plain lf-string \"%[src]:%[src_port]>%[dst]:%[dst_port]\"";
    let bind = behind.as_raw_fd();
    let _behind =
        Haproxy::start(&format!("frontend behind\n mode http\n bind fd@{bind} accept-proxy\n {tells}\n"));
    for out in ["v1", "v2"] {
        let config = over(&[behind.local_addr().unwrap()])
            .listener("trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = \"require\"")
            .pool(&format!("proxy_protocol = \"{out}\"\n[pool.crm.health]\ninterval = \"100ms\""));
        let daemon = Daemon::start(&config);
        for send in
            ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"]
        {
            let before = inherited();
            let (bind, web) = (before.as_raw_fd(), daemon.web);
            let _before = Haproxy::start(&format!(
                "frontend before\n mode tcp\n unique-id-format %pid-%rt\n bind fd@{bind}\n default_backend us\n\
                 backend us\n mode tcp\n server us {web} {send}\n"
            ));
            let mut wire = connect(before.local_addr().unwrap());
            let (own, asked) = (wire.stream.local_addr().unwrap(), before.local_addr().unwrap());
            for _ in 0..3 {
                assert_eq!(wire.get("/").unwrap().text(), format!("{own}>{asked}"), "{send}, {out}");
            }
        }
        assert_eq!(daemon.metric("equipoise_rejected_total", &[]), 0.0);
        assert_eq!(daemon.metric("equipoise_health_checks_total", &[("result", "failure")]), 0.0);
    }
}
