//! Runs scripts in a real Lua 5.1, the interpreter that Redis embeds.
//!
//! The traps are at the border: numbers lose their fraction on the way out, `false` and nil are null,
//! a list ends at its first nil, an error is a table with `err`, and a number on its way into a
//! command is written as `%.17g`. The interpreter is one per thread and used by all servers of that
//! thread, so a script gets its globals read-only, as in Redis.

use std::cell::RefCell;
use std::collections::BTreeMap;

use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};
use sha1::{Digest, Sha1};

use super::engine::{Engine, check_arity, find};
use super::{Reply, number};

const PRELUDE: &str = include_str!("prelude.lua");
/// What a script sees of Lua's own globals.
const GLOBALS: [&str; 21] = [
    "assert",
    "collectgarbage",
    "error",
    "getmetatable",
    "ipairs",
    "math",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "xpcall",
];
const SOURCE: &str = "@user_script";

thread_local! {
    static INTERPRETER: RefCell<Option<Interpreter>> = const { RefCell::new(None) };
    static RUNNING: RefCell<Engine> = RefCell::new(Engine::default());
}

struct Interpreter {
    lua: Lua,
    globals: Table,
    environment: Table,
    run: Function,
    compiled: BTreeMap<Vec<u8>, Function>,
    runs: u32,
}

/// Scripts between two collections of garbage: in many small steps it costs more.
const COLLECT_EVERY: u32 = 1000;

/// The name of a script: the hex of its SHA-1.
#[must_use]
pub fn sha1hex(script: &[u8]) -> Vec<u8> {
    Sha1::digest(script).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// Runs `script`, whose name is `sha`, on the data of `engine`.
pub(super) fn run(
    engine: &mut Engine,
    script: &[u8],
    sha: &[u8],
    keys: &[Vec<u8>],
    argv: &[Vec<u8>],
) -> Reply {
    with(|interpreter| {
        interpreter.runs += 1;
        if interpreter.runs.is_multiple_of(COLLECT_EVERY) {
            let _ = interpreter.lua.gc_collect();
        }
        let function = match interpreter.compile(script, sha) {
            Ok(function) => function,
            Err(error) => return error,
        };
        RUNNING.with_borrow_mut(|running| std::mem::swap(running, engine));
        let reply = interpreter.run(&function, sha, keys, argv);
        RUNNING.with_borrow_mut(|running| std::mem::swap(running, engine));
        reply.unwrap_or_else(|error| Reply::error(format!("ERR {error}")))
    })
}

/// Refuses a script that is no Lua.
///
/// # Errors
/// The server's error.
pub(super) fn check(script: &[u8], sha: &[u8]) -> Result<(), Reply> {
    with(|interpreter| interpreter.compile(script, sha).map(|_| ()))
}

#[allow(clippy::expect_used, reason = "a test tool without its interpreter can't go on")]
fn with<T>(work: impl FnOnce(&mut Interpreter) -> T) -> T {
    INTERPRETER.with_borrow_mut(|slot| {
        let interpreter =
            slot.get_or_insert_with(|| Interpreter::new().expect("a Lua interpreter"));
        work(interpreter)
    })
}

impl Interpreter {
    fn new() -> mlua::Result<Self> {
        // The library's own pcall would turn errors into userdata.
        let options = LuaOptions::new().catch_rust_panics(false);
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, options)?;
        let globals = lua.create_table()?;
        for name in GLOBALS {
            globals.set(name, lua.globals().get::<Value>(name)?)?;
        }
        // Random numbers would not repeat themselves.
        globals.get::<Table>("math")?.set("random", Value::Nil)?;
        globals.set("_VERSION", "Lua 5.1")?;
        lua.gc_stop();
        let environment = lua.create_table()?;
        let parts = lua.create_table()?;
        parts.set("globals", &globals)?;
        parts.set("environment", &environment)?;
        parts.set("raw", lua.create_function(raw)?)?;
        parts.set("call", lua.create_function(call)?)?;
        parts.set("position", lua.create_function(|lua, ()| Ok(position(lua)))?)?;
        parts.set("plain", lua.create_function(plain)?)?;
        parts.set(
            "error_table",
            lua.create_function(|lua, text: mlua::LuaString| error_table(lua, &text.as_bytes()))?,
        )?;
        let hex = |lua: &Lua, text: mlua::LuaString| lua.create_string(sha1hex(&text.as_bytes()));
        parts.set("sha1hex", lua.create_function(hex)?)?;
        let run = lua.load(PRELUDE).set_name("=prelude").call::<Function>(parts)?;
        Ok(Self { lua, globals, environment, run, compiled: BTreeMap::new(), runs: 0 })
    }

    fn compile(&mut self, script: &[u8], sha: &[u8]) -> Result<Function, Reply> {
        if let Some(function) = self.compiled.get(sha) {
            return Ok(function.clone());
        }
        let chunk = self.lua.load(script).set_name(SOURCE);
        let function = chunk.set_environment(self.environment.clone()).into_function();
        let function = function.map_err(|error| {
            let text = match &error {
                mlua::Error::SyntaxError { message, .. } => message.clone(),
                other => other.to_string(),
            };
            Reply::error(format!("ERR Error compiling script (new function): {text}"))
        })?;
        self.compiled.insert(sha.to_vec(), function.clone());
        Ok(function)
    }

    fn run(
        &self,
        function: &Function,
        sha: &[u8],
        keys: &[Vec<u8>],
        argv: &[Vec<u8>],
    ) -> mlua::Result<Reply> {
        let strings = |all: &[Vec<u8>]| {
            let all: mlua::Result<Vec<_>> =
                all.iter().map(|text| self.lua.create_string(text)).collect();
            self.lua.create_sequence_from(all?)
        };
        self.globals.set("KEYS", strings(keys)?)?;
        self.globals.set("ARGV", strings(argv)?)?;
        let (done, value): (bool, Value) = self.run.call(function)?;
        if done {
            return to_reply(&value);
        }
        let Value::Table(error) = value else {
            return Ok(Reply::error("ERR the error handler answered no table"));
        };
        let mut text = error.get::<mlua::LuaString>("err")?.as_bytes().to_vec();
        if let (Ok(source), Ok(line)) = (error.get::<String>("source"), error.get::<i64>("line")) {
            let sha = String::from_utf8_lossy(sha);
            text.extend(format!(" script: {sha}, on {source}:{line}.").into_bytes());
        }
        Ok(Reply::Error(text))
    }
}

/// Where in the script the interpreter is: the innermost frame that is the script's.
fn position(lua: &Lua) -> (Option<String>, Option<usize>) {
    (1..)
        .map_while(|level| {
            lua.inspect_stack(level, |frame| {
                let source = frame.source().source.map(|name| name.into_owned());
                (source, frame.current_line())
            })
        })
        .find(|(source, _)| source.as_deref() == Some(SOURCE))
        .unwrap_or_default()
}

/// `{err = …}` from a text with a dash and a code, or without.
fn error_table(lua: &Lua, text: &[u8]) -> mlua::Result<Table> {
    let text = text.trim_ascii_end();
    let message = match text.strip_prefix(b"-") {
        Some(rest) if rest.contains(&b' ') => rest.to_vec(),
        rest => [b"ERR ", rest.unwrap_or(text)].concat(),
    };
    let table = lua.create_table()?;
    table.set("err", lua.create_string(message)?)?;
    Ok(table)
}

/// `redis.call`: the command's reply; an error is raised. Not written in Lua: `return redis.call(…)`
/// would then be a tail call, and the script's line lost.
fn call(lua: &Lua, words: MultiValue) -> mlua::Result<Value> {
    let reply = raw(lua, words)?;
    if let Value::Table(table) = &reply
        && let Value::String(text) = table.raw_get::<Value>("err")?
    {
        return Err(mlua::Error::external(Raised(text.as_bytes().to_vec())));
    }
    Ok(reply)
}

/// An error that `redis.call` raised, on its way through the interpreter.
#[derive(Debug)]
struct Raised(Vec<u8>);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl std::error::Error for Raised {}

/// An error as a script catches it: a table where `redis.call` raised it.
fn plain(lua: &Lua, failure: Value) -> mlua::Result<Value> {
    let Value::Error(error) = &failure else { return Ok(failure) };
    let Some(raised) = error.downcast_ref::<Raised>() else { return Ok(failure) };
    let table = lua.create_table()?;
    table.set("err", lua.create_string(&raised.0)?)?;
    Ok(Value::Table(table))
}

/// `redis.pcall`: the command's reply, or a table with `err`.
fn raw(lua: &Lua, words: MultiValue) -> mlua::Result<Value> {
    let refuse = |text: &str| error_table(lua, text.as_bytes()).map(Value::Table);
    let mut args = Vec::with_capacity(words.len());
    for word in &words {
        args.push(match word {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Integer(number) => number.to_string().into_bytes(),
            Value::Number(number) => number::format(*number).into_bytes(),
            _ => return refuse("Lua redis lib command arguments must be strings or integers"),
        });
    }
    let Some(name) = args.first() else {
        return refuse("Please specify at least one argument for this redis lib call");
    };
    let Some(command) = find(name) else {
        return refuse("Unknown Redis command called from script");
    };
    if check_arity(command, args.len()).is_err() {
        return refuse("Wrong number of args calling Redis command from script");
    }
    let reply = RUNNING
        .with_borrow_mut(|engine| (command.work)(engine, &args).unwrap_or_else(|error| error));
    to_lua(lua, &reply)
}

fn to_lua(lua: &Lua, reply: &Reply) -> mlua::Result<Value> {
    let single = |field: &str, text: &[u8]| {
        let table = lua.create_table_with_capacity(0, 1)?;
        table.raw_set(field, lua.create_string(text)?)?;
        Ok(Value::Table(table))
    };
    match reply {
        Reply::Status(text) => single("ok", text),
        Reply::Error(text) => single("err", text),
        Reply::Int(number) => Ok(Value::Integer(*number)),
        Reply::Bulk(bytes) => lua.create_string(bytes).map(Value::String),
        Reply::Null | Reply::NullArray => Ok(Value::Boolean(false)),
        Reply::Double(score) => lua.create_string(number::format(*score)).map(Value::String),
        Reply::Array(items) | Reply::Push(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for item in items {
                table.raw_push(to_lua(lua, item)?)?;
            }
            Ok(Value::Table(table))
        }
        Reply::Scored(items) => to_lua(lua, &Reply::Array(super::reply::flat(items))),
        Reply::Map(pairs) => {
            let table = lua.create_table_with_capacity(pairs.len() * 2, 0)?;
            for (key, value) in pairs {
                table.raw_push(to_lua(lua, key)?)?;
                table.raw_push(to_lua(lua, value)?)?;
            }
            Ok(Value::Table(table))
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "as the server does: a cast to long long")]
fn to_reply(value: &Value) -> mlua::Result<Reply> {
    Ok(match value {
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Integer(number) => Reply::Int(*number),
        Value::Number(number) => Reply::Int(*number as i64),
        Value::Boolean(true) => Reply::Int(1),
        Value::Table(table) => {
            if let Value::String(text) = table.raw_get::<Value>("err")? {
                return Ok(Reply::Error(text.as_bytes().to_vec()));
            }
            if let Value::String(text) = table.raw_get::<Value>("ok")? {
                return Ok(Reply::Status(text.as_bytes().to_vec()));
            }
            let mut items = Vec::new();
            loop {
                match table.raw_get::<Value>(items.len() + 1)? {
                    Value::Nil => break,
                    item => items.push(to_reply(&item)?),
                }
            }
            Reply::Array(items)
        }
        _ => Reply::Null,
    })
}
