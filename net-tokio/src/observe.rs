//! Watching a driver: all that goes into the node, and all that comes out of it.

use forever_core::command::{Command, CommandError};
use forever_core::ids::RequestId;
use forever_core::input::Input;
use forever_core::node::Node;
use forever_core::output::Output;
use forever_core::time::Time;

/// Stands between a driver and its node. Each call comes just before the node is told, or just after it has answered.
pub trait Observer: Send {
    /// The node is given an input.
    fn input(&mut self, now: Time, input: &Input);

    /// The node is given a command.
    fn command(&mut self, now: Time, command: &Command);

    /// The node has answered that command.
    fn answer(&mut self, answer: &Result<RequestId, CommandError>);

    /// The node is told that deadlines may be due.
    fn timeout(&mut self, now: Time);

    /// The node wants something done. What is in `output` afterwards will be done: the simulator lets nodes lie here.
    fn output(&mut self, output: &mut Output);

    /// The node wants nothing more done for now.
    fn idle(&mut self, node: &mut Node);
}
