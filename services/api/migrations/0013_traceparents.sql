-- The spans in which messages were saved, for messages that are traced. A dispatcher that has not saved the message itself reads them. Rows are kept
-- for an hour: a message that waits for longer is relayed without its trace.
create table traceparents (
  group_id text not null,
  seq bigint not null,
  traceparent text not null,
  created_at timestamptz not null default now(),
  primary key (group_id, seq)
);
--;;
create index traceparents_by_time on traceparents (created_at);
