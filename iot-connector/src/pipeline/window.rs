//! When messages are worked on together: a window ends by arrival time or by count.
//!
//! As in iomt-fhir: the first message sets the end; one that arrived after it flushes those before and moves the end on in
//! whole steps; the count flushes at once and keeps the end.

use crate::spool::Micros;

/// Collects things with their arrival times.
#[derive(Debug)]
pub struct Window<T> {
    span: Micros,
    most: usize,
    end: Option<Micros>,
    waiting: Vec<(Micros, T)>,
}

impl<T> Window<T> {
    /// A window of `span` microseconds and at most `most` things.
    pub fn new(span: Micros, most: usize) -> Self {
        Self {
            span: span.max(1),
            most: most.max(1),
            end: None,
            waiting: Vec::new(),
        }
    }

    /// Adds one; gives what is to be worked on now, in up to two flushes.
    pub fn push(&mut self, arrived: Micros, thing: T) -> Vec<Vec<T>> {
        let mut flushed = Vec::new();
        let end = *self.end.get_or_insert(arrived.saturating_add(self.span));
        self.waiting.push((arrived, thing));
        if arrived > end {
            flushed.extend(self.flush_until(end));
            self.end = Some(self.following(end, arrived));
        }
        if self.waiting.len() >= self.most {
            flushed.push(self.take());
        }
        flushed
    }

    /// Gives what waits when its window has ended.
    pub fn tick(&mut self, now: Micros) -> Option<Vec<T>> {
        let end = self.end?;
        if now < end {
            return None;
        }
        self.end = Some(self.following(end, now));
        self.flush_until(now)
    }

    /// When the window ends; `None` while nothing waits.
    pub fn deadline(&self) -> Option<Micros> {
        self.end.filter(|_| !self.waiting.is_empty())
    }

    /// The end of the current window, whether something waits or not.
    pub fn end(&self) -> Option<Micros> {
        self.end
    }

    /// Things that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn following(&self, end: Micros, time: Micros) -> Micros {
        let steps = time.saturating_sub(end).div_euclid(self.span) + 1;
        end.saturating_add(self.span.saturating_mul(steps.max(1)))
    }

    fn flush_until(&mut self, end: Micros) -> Option<Vec<T>> {
        let count = self.waiting.iter().take_while(|(arrived, _)| *arrived <= end).count();
        let flushed: Vec<T> = self.waiting.drain(..count).map(|(_, thing)| thing).collect();
        (!flushed.is_empty()).then_some(flushed)
    }

    fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(_, thing)| thing)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one(&[0], 300, 5, vec![], 300)]
    #[case::at_the_end(&[0, 300], 300, 5, vec![], 300)]
    #[case::after_the_end(&[0, 301], 300, 5, vec![vec![0]], 600)]
    #[case::on_a_later_end(&[0, 600], 300, 5, vec![vec![0]], 900)]
    #[case::far_later(&[0, 901], 300, 5, vec![vec![0]], 1200)]
    #[case::count(&[0, 1, 2], 300, 3, vec![vec![0, 1, 2]], 300)]
    #[case::count_of_one(&[0, 301], 300, 1, vec![vec![0], vec![301]], 600)]
    fn a_window_flushes(
        #[case] arrivals: &[i64],
        #[case] span: i64,
        #[case] most: usize,
        #[case] flushes: Vec<Vec<i64>>,
        #[case] end: i64,
    ) {
        let mut window = Window::new(span, most);
        let found: Vec<Vec<i64>> = arrivals
            .iter()
            .flat_map(|arrival| window.push(*arrival, *arrival))
            .collect();
        assert_eq!(found, flushes);
        assert_eq!(window.end(), Some(end));
    }

    #[test]
    fn time_alone_flushes() {
        let mut window = Window::new(300, 5);
        assert_eq!(window.tick(1000), None);
        window.push(1000, 'a');
        assert_eq!((window.tick(1299), window.deadline()), (None, Some(1300)));
        assert_eq!(window.tick(1300), Some(vec!['a']));
        assert_eq!((window.deadline(), window.end()), (None, Some(1600)));
    }
}
