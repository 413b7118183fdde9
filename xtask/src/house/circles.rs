//! Finds circles of imports between the modules of a crate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    finding::{Finding, Rule},
    imports::Imports,
    tree::Trees,
};

/// One finding for each set of modules that reach each other, with the shortest circle in it.
pub(crate) fn check(trees: &Trees, imports: &Imports) -> Vec<Finding> {
    let mut after: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in imports.keys() {
        after.entry(*from).or_default().push(*to);
    }
    let mut circles: Vec<Vec<usize>> =
        (0..trees.modules.len()).filter_map(|module| shortest(module, &after)).collect();
    circles.sort_by_key(Vec::len);
    let (mut told, mut found) = (BTreeSet::new(), Vec::new());
    for circle in circles {
        if circle.iter().all(|module| !told.contains(module)) {
            let set = mutual(circle[0], &after);
            found.push(tell(&circle, set.len(), trees, imports));
            told.extend(set);
        }
    }
    found
}

/// The shortest path from a module back to itself, as the modules on it.
fn shortest(start: usize, after: &BTreeMap<usize, Vec<usize>>) -> Option<Vec<usize>> {
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(at) = waiting.pop_front() {
        for next in after.get(&at).into_iter().flatten() {
            if *next == start {
                let mut way = vec![at];
                while let Some(previous) = way.last().and_then(|last| before.get(last)) {
                    way.push(*previous);
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(next) {
                before.insert(*next, at);
                waiting.push_back(*next);
            }
        }
    }
    None
}

fn reached(start: usize, after: &BTreeMap<usize, Vec<usize>>) -> BTreeSet<usize> {
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![start]);
    while let Some(at) = waiting.pop() {
        waiting.extend(after.get(&at).into_iter().flatten().filter(|next| seen.insert(**next)));
    }
    seen
}

/// The modules that a module reaches and that also reach it.
fn mutual(module: usize, after: &BTreeMap<usize, Vec<usize>>) -> BTreeSet<usize> {
    let mut set = reached(module, after);
    set.retain(|other| reached(*other, after).contains(&module));
    set
}

fn tell(circle: &[usize], of: usize, trees: &Trees, imports: &Imports) -> Finding {
    let file = |module: usize| &trees.modules[module].file;
    let ends = circle.iter().skip(1).chain(&circle[..1]);
    let steps: Vec<String> = circle
        .iter()
        .zip(ends)
        .map(|(from, to)| {
            let import = &imports[&(*from, *to)];
            format!("\n    {}:{} names {} of {}", file(*from), import.line, import.path, file(*to))
        })
        .collect();
    let others = if of > circle.len() {
        format!(" ({of} modules are in it, by longer ways, too)")
    } else {
        String::new()
    };
    Finding {
        rule: Rule::Circles,
        file: file(circle[0]).clone(),
        line: imports[&(circle[0], circle[1 % circle.len()])].line,
        item: None,
        text: format!(
            "imports go in a circle{others}: put what both need into a file below both, or import it from where it is \
             defined{}",
            steps.concat()
        ),
    }
}
