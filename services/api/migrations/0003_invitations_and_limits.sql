-- Who made a group: how many are somebody's, and how many were made in an hour, is bounded. Of older groups nobody knows.
alter table groups add column created_by text;
--;;
create index groups_by_creator on groups (created_by) where deleted_at is null;
--;;
-- Who put a member into the group; null: the member, by making it, accepting or asking, or nobody knows. A member has acted in a group who
-- came by themselves or has a read cursor, which sending moves too.
alter table group_members add column added_by text;
--;;
create index group_members_by_adder on group_members (added_by, user_id) where added_by is not null;
--;;
create table group_invitations (
  group_id text not null references groups (id),
  user_id text not null,
  invited_by text not null,
  created_at timestamptz not null default now(),
  primary key (group_id, user_id)
);
--;;
create index group_invitations_by_user on group_invitations (user_id, created_at);
--;;
-- What a user has used up of an hourly bound. One row per user and bound, so that all API processes count together.
create table user_rates (
  user_id text not null,
  kind text not null,
  hour timestamptz not null,
  used integer not null,
  primary key (user_id, kind)
);
