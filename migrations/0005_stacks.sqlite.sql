-- +goose Up
-- An app has several networks: key names one within the app, '' is the default.
create table app_subnets (
  app_id text not null references apps (id),
  key    text not null,
  subnet text not null,
  primary key (app_id, key)
);
insert into app_subnets (app_id, key, subnet) select app_id, '', subnet from subnets;
drop table subnets;
alter table app_subnets rename to subnets;
create unique index subnets_subnet on subnets (subnet);

-- Release commands that ended well: never again for the same release.
create table commands (
  app_id        text   not null references apps (id),
  fingerprint   text   not null,
  deployment_id text   not null,
  ended_at      bigint not null,
  primary key (app_id, fingerprint)
);

-- +goose Down
drop table commands;
create table app_subnets (
  app_id text not null primary key references apps (id),
  subnet text not null
);
insert into app_subnets (app_id, subnet) select app_id, subnet from subnets where key = '';
drop table subnets;
alter table app_subnets rename to subnets;
create unique index subnets_subnet on subnets (subnet);
