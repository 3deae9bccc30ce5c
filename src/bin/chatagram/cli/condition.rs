//! The value of `load --condition`.

use super::Error;
use chatagram::impair::DEFAULT_LIMIT;
use chatagram::lab::plan;
use chatagram::lab::record::Condition;
use chatagram::quantity;

/// Parses LOSS:DELAY:JITTER:BURST, and a bandwidth and its queue behind them.
pub(super) fn condition(text: &str) -> Result<Condition, Error> {
    let parts: Vec<&str> = text.split(':').collect();
    let (&[loss, delay, jitter, burst], rest) =
        parts.split_first_chunk().ok_or(Error::Condition)?;
    let (bandwidth, queue) = match *rest {
        [] => (None, None),
        [bandwidth] => (plan::bandwidth(bandwidth)?.bits(), None),
        [bandwidth, queue] => (plan::bandwidth(bandwidth)?.bits(), Some(plan::queue(queue)?)),
        _ => return Err(Error::Condition),
    };
    let queue = bandwidth.map(|_| queue.unwrap_or(DEFAULT_LIMIT as u32));
    Ok(Condition {
        bandwidth,
        queue,
        // Divided as in a plan, so that the same share is the same number.
        loss: quantity::percent(loss)? / 100.0,
        delay_ms: plan::milliseconds(delay)?,
        jitter_ms: plan::milliseconds(jitter)?,
        burst: plan::burst(burst)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_four_valid_quantities() {
        let meant =
            Condition { loss: 0.05, delay_ms: 25.0, jitter_ms: 0.5, ..Condition::default() };
        for text in ["5%:25:0.5:1", "5:25ms:500us:1", "5 %:25 ms:0.5:1.0"] {
            assert_eq!(condition(text).unwrap(), meant, "{text}");
        }
        let slow = Condition { bandwidth: Some(2_000_000), queue: Some(100), ..meant };
        for text in ["5%:25:0.5:1:2mbit:100", "5:25:0.5:1:2mbit", "5:25:0.5:1:2000kbit:100"] {
            assert_eq!(condition(text).unwrap(), slow, "{text}");
            assert_eq!(condition(&slow.to_string()).unwrap(), slow);
        }
        assert_eq!(condition("5:25:0.5:1:off").unwrap(), meant);
        for wrong in
            ["", "5", "5:25:0", "120:25:0:1", "0:-1:0:1", "0:1:0:0", "0:1:0:1:", "0:1:0:1:2mbit:0:"]
        {
            assert!(condition(wrong).is_err(), "{wrong}");
        }
    }
}
