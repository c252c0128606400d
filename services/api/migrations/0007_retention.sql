-- Groups with a setting of their own are found without the others.
create index groups_with_retention on groups (id) where retention_days is not null;
