-- +goose Up
-- The queue: work that must survive the process. Rows are disposable once they
-- ended; history lives in the deployments. Times are Unix microseconds.
create table jobs (
    id          integer primary key autoincrement,
    kind        text    not null,
    serial_key  text,               -- at most one running job per key; null: no limit
    unique_key  text,               -- at most one queued or running job per key
    args        blob    not null,
    state       text    not null default 'queued'
                check (state in ('queued', 'running', 'done', 'failed', 'canceled')),
    attempt     integer not null default 0,  -- how often it was claimed; with worker, the fence of every update
    run_at      bigint  not null,
    worker      text,               -- who runs it
    lease_until bigint,             -- until when the worker is believed without a heartbeat
    cancel      text,               -- why it shall stop, set by anyone, seen at claim and heartbeat
    error       text,               -- what it failed with
    created_at  bigint  not null,
    ended_at    bigint,
    check ((state = 'running') = (worker is not null and lease_until is not null))
);
create unique index jobs_unique_key on jobs (unique_key) where state in ('queued', 'running');
create unique index jobs_serial_key on jobs (serial_key) where state = 'running';
create index jobs_due on jobs (run_at, id) where state = 'queued';

-- +goose Down
drop table jobs;
