-- Times are microseconds since 1970 in UTC, 0 is "not yet". Columns named
-- sealed hold what only the secret key opens.

-- +goose Up
create table settings (
  key   text not null primary key,
  value text not null
);

create table apps (
  id          text    not null primary key,
  name        text    not null,
  repo        text    not null,
  repo_id     bigint  not null default 0,
  branch      text    not null,
  compose     text    not null,            -- JSON list of paths
  overlay     text    not null default '',
  routes      text    not null,            -- JSON list
  paused      boolean not null default false,
  env_version bigint  not null default 0,  -- of the newest row in env
  seen_head   text    not null default '',
  created_at  bigint  not null,
  updated_at  bigint  not null,
  removed_at  bigint  not null default 0
);
create unique index apps_name on apps (name) where removed_at = 0;
create index apps_repo_id on apps (repo_id);
create index apps_repo on apps (lower(repo));

-- One row per change: the environment at a version is, for each name, the row
-- with the greatest version up to it. A row without sealed value is an unset.
create table env (
  app_id  text   not null references apps (id),
  version bigint not null,
  name    text   not null,
  sealed  blob,
  set_at  bigint not null,
  primary key (app_id, version)
);
create index env_name on env (app_id, name, version);

create table releases (
  id          text   not null primary key,
  app_id      text   not null references apps (id),
  commit_sha  text   not null,
  images      text   not null,             -- JSON: service to image ID
  env_version bigint not null,
  created_at  bigint not null,
  sealed      blob   not null              -- the rendered stack
);

create table deployments (
  id          text   not null primary key,
  app_id      text   not null references apps (id),
  commit_sha  text   not null default '',
  subject     text   not null default '',
  trigger     text   not null,
  actor       text   not null default '',
  delivery_id text   not null default '',
  state       text   not null,
  color       text   not null default '',
  attempt     bigint not null default 0,
  release_id  text   references releases (id),
  reason      text   not null default '',
  created_at  bigint not null,
  started_at  bigint not null default 0,
  live_at     bigint not null default 0,
  ended_at    bigint not null default 0
);
create unique index deployments_one_live on deployments (app_id) where state = 'live';
create index deployments_app on deployments (app_id, id);
create index deployments_app_state on deployments (app_id, state, id);
create index deployments_state on deployments (state, id);
create index deployments_release on deployments (release_id);

create table steps (
  deployment_id text   not null references deployments (id),
  attempt       bigint not null,
  name          text   not null,
  position      bigint not null,           -- in the order they were first written
  state         text   not null,
  detail        text   not null default '',
  error         text   not null default '',
  started_at    bigint not null,
  ended_at      bigint not null default 0,
  log_offset    bigint not null default 0,
  primary key (deployment_id, attempt, name)
);

create table deliveries (
  seq         integer not null primary key autoincrement,
  id          text   not null,
  event       text   not null,
  action      text   not null default '',
  repo        text   not null default '',
  repo_id     bigint not null default 0,
  ref         text   not null default '',
  commit_sha  text   not null default '',
  sender      text   not null default '',
  received_at bigint not null,
  outcome     text   not null,
  reason      text   not null,
  message     text   not null,
  verdicts    text   not null,             -- JSON list
  body        blob   not null              -- last, so that lists need not read it
);
create unique index deliveries_id on deliveries (id);

create table reports (
  deployment_id text   not null references deployments (id),
  target        text   not null,
  wanted        bigint not null default 1,
  sent          bigint not null default 0,
  remote_id     bigint not null default 0,
  tries         bigint not null default 0,
  next_at       bigint not null default 0,
  last_error    text   not null default '',
  primary key (deployment_id, target)
);
create index reports_due on reports (next_at) where sent < wanted;

create table audit (
  id        text   not null primary key,
  at        bigint not null,
  actor     text   not null,
  from_addr text   not null default '',
  action    text   not null,
  app       text   not null default '',
  target    text   not null default '',
  detail    text   not null default ''
);

create table tokens (
  id         text   not null primary key,
  name       text   not null,
  role       text   not null,
  hash       blob   not null,
  created_at bigint not null,
  revoked_at bigint not null default 0,
  used_at    bigint not null default 0
);
create unique index tokens_hash on tokens (hash);
create unique index tokens_name on tokens (name) where revoked_at = 0;

create table sessions (
  hash       blob   not null primary key,
  token_id   text   not null default '',
  name       text   not null,
  role       text   not null,
  created_at bigint not null,
  expires_at bigint not null
);
create index sessions_expires on sessions (expires_at);

-- Places on the edge network, counted from its first address. A row without
-- deployment is free; freed orders those by when they became so.
create table addresses (
  position      bigint not null primary key,
  deployment_id text,
  service       text   not null default '',
  replica       bigint not null default 0,
  freed         bigint not null default 0
);
create unique index addresses_holder on addresses (deployment_id, service, replica) where deployment_id is not null;
create index addresses_free on addresses (freed, position) where deployment_id is null;

create table subnets (
  app_id text not null primary key references apps (id),
  subnet text not null
);
create unique index subnets_subnet on subnets (subnet);
