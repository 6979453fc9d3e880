-- +goose Up
alter table apps add column redirects text not null default '[]'; -- JSON list

-- +goose Down
alter table apps drop column redirects;
