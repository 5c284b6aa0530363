use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use api::nearest;
use clap::{Arg, ArgAction, Command};

use super::{ConfigError, Origin, PREFIX, Sources, Unknown, directory, elsewhere, protection};

/// A command line, and where its values came from.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The command line, with the program's name.
    pub flags: Vec<OsString>,
    /// Where the value of each key came from.
    pub origins: BTreeMap<String, Origin>,
    /// Keys that `command` does not have, in alphabetical order.
    pub unknown: Vec<Unknown>,
}

/// Makes one command line for `command` of all sources.
///
/// # Errors
///
/// When a source cannot be read, or a value that should be true or false is neither.
pub fn arguments(command: &Command, sources: &Sources) -> Result<Arguments, ConfigError> {
    let known = known(command);
    let mut origins = BTreeMap::new();
    let mut flags = given(&sources.flags, &known, &mut origins)?;
    let (mut unknown, mut decided) = (BTreeMap::new(), BTreeSet::new());
    let mut extra = Vec::new();
    for (key, value, origin) in found(sources)? {
        let Some(arg) = known.get(&key) else {
            if is_service(&origin) {
                continue;
            }
            let elsewhere = elsewhere::is_known(&key);
            let protection = protection::wanted(&key, &value);
            let meant = (!elsewhere).then(|| meant(&key, &known)).flatten();
            let found = Unknown { key: key.clone(), origin, elsewhere, protection, meant };
            // An empty value decides nothing.
            if value.is_empty() {
                unknown.entry(key).or_insert(found);
            } else if decided.insert(key.clone()) {
                unknown.insert(key, found);
            }
            continue;
        };
        // An alias of a flag is the same key.
        let key = arg.get_long().unwrap_or_default().to_owned();
        if value.is_empty() || origins.contains_key(&key) {
            continue;
        }
        extra.extend(flag(&key, &value, arg, &origin)?);
        origins.insert(key, origin);
    }
    // After the program's name, so that what stands behind `--` stays there.
    let end = flags.len().min(1);
    flags.splice(end..end, extra);
    Ok(Arguments { flags, origins, unknown: unknown.into_values().collect() })
}

/// The flags of `command`, by all their names.
fn known(command: &Command) -> BTreeMap<String, &Arg> {
    let named = |arg| {
        let arg: &Arg = arg;
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long().into_iter().chain(aliases).map(move |name| (name.to_owned(), arg)).collect::<Vec<_>>()
    };
    command.get_arguments().flat_map(named).collect()
}

/// The key that somebody meant who wrote this one: the program's own come first.
fn meant(key: &str, known: &BTreeMap<String, &Arg>) -> Option<String> {
    let elsewhere = || elsewhere::KEYS.iter().flat_map(|keys| keys.lines());
    let own = nearest(key, known.keys().map(String::as_str));
    own.or_else(|| nearest(key, elsewhere())).map(str::to_owned)
}

/// The keys of environment and directory, those that win first.
fn found(sources: &Sources) -> Result<Vec<(String, String, Origin)>, ConfigError> {
    let mut found = Vec::new();
    for (name, value) in &sources.environment {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let origin = Origin::Environment { name: name.to_owned() };
        found.push((key.to_lowercase().replace('_', "-"), value.trim().to_owned(), origin));
    }
    if let Some(directory) = &sources.directory {
        let files = directory::read(directory)?;
        found.extend(files.into_iter().map(|(key, path, value)| (key, value, Origin::File { path })));
    }
    Ok(found)
}

/// Whether it is a variable that a kubelet made of a Service whose name begins as our keys do.
fn is_service(origin: &Origin) -> bool {
    let Origin::Environment { name } = origin else { return false };
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_ADDR", "_PROTO"].iter().any(|end| name.ends_with(end))
        || ["_SERVICE_PORT_", "_TCP", "_UDP"].iter().any(|part| name.contains(part))
}

/// The flags as they were given, with `--flag=true` and `--flag=false` for flags that take no value.
fn given(
    flags: &[OsString],
    known: &BTreeMap<String, &Arg>,
    origins: &mut BTreeMap<String, Origin>,
) -> Result<Vec<OsString>, ConfigError> {
    let mut out = Vec::new();
    let mut options = true;
    for text in flags {
        options &= text != OsStr::new("--");
        let long = text.to_str().and_then(|text| text.strip_prefix("--")).filter(|_| options);
        let (key, value) = long.map_or(("", None), |long| match long.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (long, None),
        });
        let Some(arg) = known.get(key) else {
            out.push(text.clone());
            continue;
        };
        let key = arg.get_long().unwrap_or_default();
        origins.insert(key.to_owned(), Origin::Flag);
        match value {
            Some(value) if is_boolean(arg) => out.extend(flag(key, value, arg, &Origin::Flag)?),
            _ => out.push(text.clone()),
        }
    }
    Ok(out)
}

/// How clap wants to have it; nothing for a flag that is off.
fn flag(key: &str, value: &str, arg: &Arg, origin: &Origin) -> Result<Option<OsString>, ConfigError> {
    if !is_boolean(arg) {
        return Ok(Some(format!("--{key}={value}").into()));
    }
    // What Go reads as a truth value, and with it Cilium.
    let on = match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        _ => {
            let (key, value, origin) = (key.to_owned(), value.to_owned(), origin.clone());
            return Err(ConfigError::Boolean { key, value, origin });
        }
    };
    Ok(match arg.get_action() {
        ArgAction::SetTrue => on.then(|| format!("--{key}").into()),
        ArgAction::SetFalse => (!on).then(|| format!("--{key}").into()),
        _ => Some(format!("--{key}={on}").into()),
    })
}

fn is_boolean(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse)
        || arg.get_value_parser().type_id() == TypeId::of::<bool>()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::Ipv4Addr;

    use clap::Parser;

    use super::super::{Parsed, parse};
    use super::*;

    #[derive(Debug, Parser, PartialEq)]
    struct Args {
        /// The node
        #[arg(long, alias = "nodename")]
        node: Option<String>,
        /// How many
        #[arg(long, default_value_t = 5)]
        count: u8,
        /// Off unless said so
        #[arg(long)]
        enable_ipv6: bool,
        /// On unless said so
        #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true,
              default_missing_value = "true")]
        enable_ipv4: bool,
        /// Several
        #[arg(long, value_delimiter = ' ')]
        servers: Vec<Ipv4Addr>,
        /// What else
        #[arg(last = true)]
        rest: Vec<String>,
    }

    struct Files(tempfile::TempDir);

    impl Files {
        fn with(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            fs::create_dir(dir.path().join("..2026")).expect("the data");
            for (name, value) in files {
                fs::write(dir.path().join("..2026").join(name), value).expect("a file");
                std::os::unix::fs::symlink(format!("..2026/{name}"), dir.path().join(name)).expect("a link");
            }
            std::os::unix::fs::symlink("..2026", dir.path().join("..data")).expect("a link");
            Self(dir)
        }
    }

    fn sources(files: &Files, environment: &[(&str, &str)], flags: &[&str]) -> Sources {
        let mut sources = Sources::of_flags(["test"].iter().chain(flags));
        sources.directory = Some(files.0.path().to_owned());
        sources.environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        sources
    }

    fn read(
        files: &[(&str, &str)],
        environment: &[(&str, &str)],
        flags: &[&str],
    ) -> Result<Parsed<Args>, String> {
        let files = Files::with(files);
        let parsed = parse(&sources(&files, environment, flags));
        let dir = files.0.path().display().to_string();
        parsed.map_err(|error| error.to_string().replace(&dir, "DIR"))
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_files() {
        let files = [("count", "1\n"), ("node", "file"), ("servers", "10.0.0.1 10.0.0.2")];
        let environment = [("CILIUM_COUNT", "2"), ("CILIUM_NODENAME", "environment"), ("PATH", "/bin")];
        let args = |environment, flags| read(&files, environment, flags).expect("arguments").arguments;
        assert_eq!(args(&[], &[]).count, 1);
        assert_eq!(args(&[], &[]).servers, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
        assert_eq!(args(&environment, &[]).count, 2);
        assert_eq!(args(&environment, &[]).node.as_deref(), Some("environment"), "an alias is the same key");
        assert_eq!(args(&environment, &["--count", "3"]).count, 3);
        assert_eq!(args(&environment, &["--count=4", "--", "--count"]).count, 4);
        assert_eq!(args(&environment, &["--", "--count=7"]).count, 2, "behind -- there are no flags");
        assert_eq!(args(&environment, &["--", "--count=7"]).rest, ["--count=7"]);
    }

    #[test]
    fn booleans_have_values() {
        let of = |text, flags: &[&str]| {
            let files = [("enable-ipv4", text), ("enable-ipv6", text)];
            let args = read(&files, &[], flags).map(|parsed| parsed.arguments)?;
            Ok::<_, String>((args.enable_ipv4, args.enable_ipv6))
        };
        assert_eq!(of("", &[]), Ok((true, false)), "empty is the default");
        for text in ["true", "1", "True"] {
            assert_eq!(of(text, &[]), Ok((true, true)));
        }
        for text in ["false", "0", "F"] {
            assert_eq!(of(text, &[]), Ok((false, false)));
        }
        assert_eq!(of("false", &["--enable-ipv6", "--enable-ipv4"]), Ok((true, true)));
        assert_eq!(of("true", &["--enable-ipv6=false", "--enable-ipv4=false"]), Ok((false, false)));
        assert_eq!(
            of("yes", &[]),
            Err(r#"enable-ipv4 in DIR/enable-ipv4: "yes" is neither true nor false"#.to_owned())
        );
    }

    #[test]
    fn bad_values_say_where_they_are() {
        let file = read(&[("count", "many")], &[], &[]).expect_err("no number");
        assert!(file.starts_with("count in DIR/count: invalid value 'many'"), "{file}");
        let variable = read(&[("count", "many")], &[("CILIUM_COUNT", "300")], &[]).expect_err("too much");
        assert!(
            variable.starts_with("count in the environment (CILIUM_COUNT): invalid value '300'"),
            "{variable}"
        );
        let flag = read(&[], &[], &["--count=x"]).expect_err("no number");
        assert!(flag.contains("--count <COUNT>"), "{flag}");
        let missing = parse::<Args>(&Sources { directory: Some("/nowhere".into()), ..Sources::default() });
        assert_eq!(missing.expect_err("no directory").to_string(), "configuration in /nowhere");
    }

    #[test]
    fn keys_that_nobody_knows_are_told() {
        let files = [("cluster-id", "0"), ("enable-ipv44", "true")];
        let service =
            [("CILIUM_AGENT_SERVICE_HOST", "10.0.0.1"), ("CILIUM_AGENT_PORT_80_TCP", "tcp://10.0.0.1:80")];
        let environment: Vec<_> = service.into_iter().chain([("CILIUM_CUONT", "1")]).collect();
        let parsed = read(&files, &environment, &[]).expect("arguments");
        let warnings = parsed.warnings();
        assert_eq!(
            warnings[0],
            r#"cuont in the environment (CILIUM_CUONT): unknown key (did you mean "count"?)"#
        );
        assert!(warnings[1].ends_with(r#"unknown key (did you mean "enable-ipv4"?)"#), "{warnings:?}");
        assert_eq!((warnings.len(), parsed.without_effect()), (2, vec!["cluster-id"]));
        let unknown = parsed.unknown;
        let told: Vec<_> = unknown.iter().map(|one| (one.key.as_str(), one.elsewhere)).collect();
        assert_eq!(told, [("cluster-id", true), ("cuont", false), ("enable-ipv44", false)]);
        assert_eq!(unknown[1].origin.to_string(), "in the environment (CILIUM_CUONT)");
    }

    #[test]
    fn protection_that_there_is_not_is_refused() {
        let refused = |files: &[(&str, &str)], environment: &[(&str, &str)]| {
            let parsed = read(files, environment, &[]).expect("arguments");
            parsed.refuse_unprotected().map_err(|error| error.to_string())
        };
        assert_eq!(refused(&[("enable-wireguard", "false"), ("enable-hubble", "true")], &[]), Ok(()));
        let file = refused(&[("enable-wireguard", "true")], &[]).expect_err("no encryption");
        assert!(
            file.contains("enable-wireguard in /") && file.contains("encryption between nodes"),
            "{file}"
        );
        // The one that wins decides.
        let off = [("CILIUM_ENABLE_WIREGUARD", "false")];
        assert_eq!(refused(&[("enable-wireguard", "true")], &off), Ok(()));
        let empty = [("CILIUM_ENABLE_WIREGUARD", "")];
        assert!(refused(&[("enable-wireguard", "true")], &empty).is_err(), "empty is none");
        let variable = refused(&[], &[("CILIUM_ENABLE_HOST_FIREWALL", "1")]).expect_err("no host firewall");
        assert!(variable.contains("in the environment (CILIUM_ENABLE_HOST_FIREWALL)"), "{variable}");
    }

    #[test]
    fn no_key_is_listed_twice() {
        let [cilium, own] = elsewhere::KEYS.map(|keys| keys.lines().collect::<Vec<_>>());
        for keys in [&cilium, &own] {
            assert!(keys.iter().all(|key| !key.is_empty() && *key == key.trim()));
            assert!(keys.is_sorted_by(|a, b| a < b), "they are in order");
        }
        assert!(own.iter().all(|key| !cilium.contains(key)));
    }
}
