-- `failed_code`: of the last attempt to dispatch that failed, while `attempts` is above 0. `notified_seq`: up to here it is settled who was absent;
-- null: nobody has asked yet. Neither is in an index, so that the dispatcher's writes stay within their page.
alter table outbox add column failed_code text, add column notified_seq bigint;
--;;
-- Since when ABSENT_WEBHOOK_URL is set: nobody is told of messages from before. One row at most.
create table absences_since (
  since timestamptz not null
);
--;;
-- Webhooks that tell who has not got a message. `id` is that of the message, and the webhook's own: another attempt has the same.
create table absence_webhooks (
  id text primary key,
  group_id text not null,
  seq bigint not null,
  sender_id text not null,
  absent jsonb not null,
  created_at timestamptz not null default now(),
  attempts integer not null default 0,
  retry_at timestamptz not null default now()
);
--;;
create index absence_webhooks_by_retry on absence_webhooks (retry_at);
