-- +goose Up
alter table apps add column allow text not null default '[]'; -- JSON list: permissions beyond the container

-- +goose Down
alter table apps drop column allow;
