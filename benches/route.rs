//! Finding the route of a request: the last of 1, 32 and 1,000 rules.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use equipoise::route::{Host, Rule, Table};

fn table(rules: usize) -> Table<usize> {
    let rule = |index: usize| Rule {
        hosts: vec![Host::Exact(format!("tenant-{index}.crm.example").into_bytes().into())],
        paths: Vec::new(),
        prefixes: vec![b"/api".as_slice().into()],
        target: index,
    };
    Table::new((0..rules).map(rule).collect())
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for rules in [1, 32, 1000] {
        let table = table(rules);
        let host = format!("tenant-{}.crm.example", rules - 1).into_bytes();
        group.bench_function(format!("last of {rules}"), |bencher| {
            bencher.iter(|| table.find(black_box(&host), black_box(b"/api/customers")));
        });
    }
    group.finish();
}

criterion_group!(benches, find);
criterion_main!(benches);
