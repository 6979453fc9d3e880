-- +goose Up
alter table apps add column mode text not null default '{}'; -- JSON: how an operator lets visitors be met

-- +goose Down
alter table apps drop column mode;
