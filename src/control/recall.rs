//! What the workers remember of the last requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Control;
use crate::listen::Command;
use crate::recent::Found;

/// How long a worker may take to answer. It does so between two turns of its requests.
const PATIENCE: Duration = Duration::from_secs(2);

impl Control {
    /// Asks every worker what was decided for the requests of this id; in the workers' order.
    ///
    /// # Errors
    /// A worker that does not answer, in words.
    pub async fn recall(&self, id: &str) -> Result<Vec<Found>, String> {
        let id = Arc::<str>::from(id);
        let mut replies = Vec::new();
        for (index, worker) in self.workers.iter().enumerate() {
            let (reply, answer) = oneshot::channel();
            let command = Command::Recall { id: Arc::clone(&id), reply };
            // Never waits for room: commands that pile up say that the worker does not come round to them.
            worker.try_send(command).map_err(|error| match error {
                TrySendError::Full(_) => format!("worker {index} takes no questions now"),
                TrySendError::Closed(_) => format!("worker {index} has ended: the balancer is stopping"),
            })?;
            replies.push(answer);
        }
        let mut found = Vec::new();
        let asked = async {
            for (index, answer) in replies.into_iter().enumerate() {
                found.push(answer.await.map_err(|_| format!("worker {index} is ending"))?);
            }
            Ok(())
        };
        let answered = timeout(PATIENCE, asked).await;
        let missing = found.len();
        answered
            .unwrap_or_else(|_| Err(format!("worker {missing} did not answer within {PATIENCE:?}")))
            .map(|()| found)
    }
}
