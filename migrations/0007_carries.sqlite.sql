-- +goose Up
alter table deployments add column carries text not null default ''; -- the deployment whose stack a live one carries on

-- +goose Down
alter table deployments drop column carries;
