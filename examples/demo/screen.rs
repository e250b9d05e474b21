//! Shows what happens: a table that is redrawn in place on a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};

use crossterm::style::{Attribute, Color, Stylize};
use crossterm::{cursor, queue, terminal};
use tokio::time::Instant;

use crate::contender::{Contender, State};

/// The last happenings that stay under the table.
const NEWS: usize = 6;

pub(crate) struct Screen {
    live: bool,
    started: Instant,
    title: String,
    news: VecDeque<String>,
    drawn: u16,
}

impl Screen {
    pub(crate) fn new(title: &str) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let live = io::stdout().is_terminal() && !dumb;
        if !live {
            println!("{title}");
        }
        let (started, title) = (Instant::now(), title.to_owned());
        Self { live, started, title, news: VecDeque::new(), drawn: 0 }
    }

    /// Tells one happening.
    pub(crate) fn tell(&mut self, text: &str, contenders: &[Contender]) {
        let line = format!("{:6.2} s  {text}", self.started.elapsed().as_secs_f64());
        if !self.live {
            println!("{line}");
            return;
        }
        self.news.push_back(line);
        if self.news.len() > NEWS {
            self.news.pop_front();
        }
        // A terminal that went away is told by SIGHUP; nothing to do about it here.
        let _ = self.draw(contenders);
    }

    fn draw(&mut self, contenders: &[Contender]) -> io::Result<()> {
        let wide = terminal::size().map_or(80, |(columns, _)| usize::from(columns)).max(20) - 1;
        let mut rows = vec![
            self.title.clone().attribute(Attribute::Bold),
            format!("  {:<10} {:<16} {:>18} {:>6}", "contender", "state", "fence", "held").dim(),
        ];
        rows.extend(contenders.iter().map(row));
        rows.extend(self.news.iter().map(|line| line.clone().stylize()));
        rows.resize(3 + contenders.len() + NEWS, String::new().stylize());

        let mut out = io::stdout().lock();
        queue!(out, cursor::Hide)?;
        if self.drawn > 0 {
            queue!(out, cursor::MoveToPreviousLine(self.drawn))?;
        }
        for styled in &rows {
            // A row that the terminal wraps would be two, and the next table would miss the first.
            let short: String = styled.content().chars().take(wide).collect();
            let line = crossterm::style::StyledContent::new(*styled.style(), short);
            queue!(out, terminal::Clear(terminal::ClearType::CurrentLine))?;
            writeln!(out, "{line}")?;
        }
        queue!(out, cursor::Show)?;
        self.drawn = u16::try_from(rows.len()).unwrap_or(u16::MAX);
        out.flush()
    }
}

fn row(contender: &Contender) -> crossterm::style::StyledContent<String> {
    let (mark, what, fence, color) = match contender.state {
        State::Starting => (" ", "starts", None, Color::DarkGrey),
        State::Waits => (" ", "waits", None, Color::Reset),
        State::Holds(fence) => (">", "HOLDS", Some(fence), Color::Green),
        State::Paused(fence) => (" ", "paused (SIGSTOP)", Some(fence), Color::Yellow),
        State::Killed => (" ", "killed (-9)", None, Color::Red),
        State::Ended => (" ", "done", None, Color::DarkGrey),
    };
    let fence = fence.map_or(String::new(), |fence| fence.to_string());
    format!("{mark} {:<10} {what:<16} {fence:>18} {:>6}", contender.name, contender.held)
        .with(color)
}
