//! How long dcap-qvl takes to verify one quote: dcap-qvl-bench QUOTE COLLATERAL ROOT SECONDS [AT]
//! ROOT is a certificate in DER, or - for Intel's; AT is a time in seconds. Files are read and collateral is parsed before.
use dcap_qvl::verify::QuoteVerifier;
use std::time::{Duration, Instant, SystemTime};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let quote = std::fs::read(&words[1]).expect("the quote");
    let text = std::fs::read_to_string(&words[2]).expect("the collateral");
    let collateral: dcap_qvl::QuoteCollateralV3 = serde_json::from_str(&text).expect("the collateral");
    let verifier = match words[3].as_str() {
        "-" => QuoteVerifier::new_prod(),
        path => QuoteVerifier::new(std::fs::read(path).expect("the root")),
    };
    let seconds: f64 = words[4].parse().expect("seconds");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
    let now = words.get(5).map_or(now, |at| at.parse().expect("a time"));
    let once = || verifier.verify(&quote, &collateral, now).expect("a genuine quote");
    let mut took: Vec<Duration> = Vec::new();

    (0..5).for_each(|_| drop(once()));
    let began = Instant::now();
    while took.is_empty() || began.elapsed().as_secs_f64() < seconds {
        let before = Instant::now();
        drop(once());
        took.push(before.elapsed());
    }
    let total: Duration = took.iter().sum();
    took.sort();
    println!(
        "{{\"count\": {}, \"verifications_per_second\": {:.1}, \"median_ns\": {}, \"p99_ns\": {}}}",
        took.len(), took.len() as f64 / total.as_secs_f64(),
        took[(took.len() - 1) / 2].as_nanos(), took[(took.len() - 1) * 99 / 100].as_nanos()
    );
}
