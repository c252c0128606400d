-- Runs on PostgreSQL 15+ and on the embedded Postgres alike. Statements are separated by lines of `--;;`.

create table users (
  id text primary key,
  name text,
  email text,
  picture text,
  first_seen_at timestamptz not null default now()
);
--;;
-- One row per group carries its cursors: `seq` (saved) and `dispatched_seq` (accepted by the relay). An event gets its
-- place by updating this row in the transaction that saves the change, so places follow the order of the commits.
create table groups (
  id text primary key,
  kind text not null check (kind in ('group', 'direct')),
  name text,
  direct_key text unique,
  created_at timestamptz not null default now(),
  active_at timestamptz not null default now(),
  deleted_at timestamptz,
  epoch text not null,
  seq bigint not null default 0,
  dispatched_seq bigint not null default 0,
  lease_owner text,
  lease_token bigint not null default 0,
  lease_until timestamptz,
  attempts integer not null default 0,
  retry_at timestamptz,
  check (dispatched_seq <= seq)
);
--;;
-- Holds only groups with a backlog, so that the safety net's poll costs nothing while there is none.
create index groups_backlog on groups (id) where seq > dispatched_seq;
--;;
create table group_members (
  group_id text not null references groups (id),
  user_id text not null,
  role text not null check (role in ('owner', 'member')),
  joined_at timestamptz not null default now(),
  read_seq bigint not null default 0,
  primary key (group_id, user_id)
);
--;;
create index group_members_by_user on group_members (user_id);
--;;
create table messages (
  id text primary key,
  group_id text not null references groups (id),
  seq bigint not null,
  sender_id text not null,
  content text not null,
  attachments jsonb,
  client_message_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz,
  deleted_at timestamptz,
  unique (group_id, seq),
  unique (group_id, sender_id, client_message_id)
);
--;;
-- The outbox, and the history that catch-up reads: every positioned event of a group. Its epoch is the group's: a higher
-- generation takes the whole history with it. `effect` is what the relay's connections have to follow.
create table events (
  group_id text not null references groups (id),
  seq bigint not null,
  id text not null,
  type text not null,
  payload jsonb not null,
  effect jsonb,
  created_at timestamptz not null default now(),
  primary key (group_id, seq)
);
--;;
-- Finds the edits of a message when it is deleted and its text has to go.
create index events_of_edits on events (group_id, (payload ->> 'messageId')) where type = 'message-updated';
