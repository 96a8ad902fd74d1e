//! `bincard user`: the users of a tenant.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use bincard_access::{Accounts, NewUser, Plan, Role, TenantName, User as Account};
use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::config::Config;
use crate::exit::WrongUse;
use crate::folder::DataFolder;
use crate::output::{List, instant};

/// Users a page, as lists are read.
const PAGE_SIZE: u32 = 500;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct User {
    /// The tenant
    #[arg(long, default_value = "default", value_name = "NAME", global = true)]
    tenant: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Add a user; the password is read from standard input
    Add {
        /// The e-mail address
        email: String,
        /// The username [default: what stands before the @]
        #[arg(long)]
        username: Option<String>,
        /// ADMIN, MANAGER, SELLER or VIEWER
        #[arg(long, default_value = "VIEWER")]
        role: String,
        /// The id of a warehouse of a SELLER's; may be given several times
        #[arg(long = "warehouse", value_name = "ID")]
        warehouses: Vec<Uuid>,
        /// standard, premium or service
        #[arg(long, default_value = "standard")]
        plan: String,
    },
    /// List the users
    List,
    /// Bar a user from signing in; sessions end at once
    Disable {
        /// The e-mail address or username
        login: String,
    },
    /// Set a user's password, read from standard input; sessions end at once
    Password {
        /// The e-mail address or username
        login: String,
    },
}

impl User {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = DataFolder::existing(config)?;
        super::block_on(async {
            let accounts = folder.accounts(config).await?;
            let tenant = folder.tenant(&accounts, &self.tenant).await?;
            if let Action::Add { warehouses, .. } = &self.action {
                super::check_warehouses(&folder, config, &tenant, warehouses)?;
            }
            self.action.run(&accounts, &tenant).await?;
            Ok(accounts.close().await?)
        })
    }
}

impl Action {
    async fn run(self, accounts: &Accounts, tenant: &TenantName) -> anyhow::Result<()> {
        match self {
            Action::Add {
                email,
                username,
                role,
                warehouses,
                plan,
            } => {
                let username = username
                    .as_deref()
                    .or_else(|| email.split('@').next())
                    .unwrap_or_default();
                let (role, plan) = (wrong_use(Role::parse(&role))?, wrong_use(Plan::parse(&plan))?);
                let password = read_password(&email)?;
                let new = NewUser {
                    email: &email,
                    username,
                    first_name: "",
                    last_name: "",
                    password: &password,
                    role,
                    warehouses: &warehouses,
                    plan,
                };
                let user = accounts.user_add(tenant, new).await?;
                super::write_out(&format!("added {} {} ({})\n", user.role, user.email, user.id))
            }
            Action::List => list(accounts, tenant).await,
            Action::Disable { login } => {
                let user = find(accounts, tenant, &login).await?;
                accounts.user_disable(tenant, user.id).await?;
                super::write_out(&format!("disabled {}\n", user.email))
            }
            Action::Password { login } => {
                let user = find(accounts, tenant, &login).await?;
                let password = read_password(&user.email)?;
                accounts.user_set_password(tenant, user.id, &password).await?;
                super::write_out(&format!("set the password of {}\n", user.email))
            }
        }
    }
}

async fn list(accounts: &Accounts, tenant: &TenantName) -> anyhow::Result<()> {
    let mut list = List::new(["EMAIL", "USERNAME", "ROLE", "PLAN", "ACTIVE", "ADDED", "ID"]);
    for page in 0.. {
        let users = accounts.users(tenant, page, PAGE_SIZE).await?.content;
        if users.is_empty() {
            break;
        }
        for user in users {
            list.row([
                user.email,
                user.username,
                user.role.to_string(),
                user.plan.to_string(),
                if user.active { "yes" } else { "no" }.to_owned(),
                instant(user.created_at),
                user.id.to_string(),
            ]);
        }
    }
    list.write()
}

async fn find(accounts: &Accounts, tenant: &TenantName, login: &str) -> anyhow::Result<Account> {
    let found = accounts
        .user_find(login)
        .await?
        .filter(|user| user.tenant == *tenant);
    found.with_context(|| {
        format!("tenant {tenant} has no user {login:?}: `bincard user list` shows who there is")
    })
}

/// A value of the command line that accounts do not take is wrong use.
pub(super) fn wrong_use<T>(parsed: Result<T, bincard_access::AccessError>) -> Result<T, WrongUse> {
    parsed.map_err(|error| WrongUse(error.to_string()))
}

/// One line of standard input: a password does not belong in a command line, where others see it.
fn read_password(of: &str) -> anyhow::Result<String> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        write!(io::stderr(), "password of {of} (it shows): ")?;
    }
    let mut line = String::new();
    stdin
        .lock()
        .read_line(&mut line)
        .context("the password cannot be read from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("no password came on standard input: pipe one in, or type it");
    }
    Ok(password.to_owned())
}
