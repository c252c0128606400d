-- Saving a message writes no row that another message has written, so that a snapshot that somebody holds (a dump, a report) costs nothing: it
-- keeps old versions of rows, and there are none. A group's head is its newest row in `messages` and `events`, and a lock that
-- ends with the transaction decides who is next. The next two migrations move what there is.
alter table messages rename to messages_0003;
--;;
alter table events rename to events_0003;
--;;
drop index events_of_edits;
--;;
-- A message is its own event: history reads `messages` and `events` together, by `seq`. `ordinal` counts the messages of a group, so that
-- the number of messages between two positions is one subtraction. `omitted` stands where the relay refuses the event for good.
create table messages (
  seq bigint not null,
  ordinal bigint not null,
  created_at timestamptz not null,
  updated_at timestamptz,
  deleted_at timestamptz,
  group_id text not null,
  id text not null,
  sender_id text not null,
  client_message_id text,
  content text not null,
  attachments jsonb,
  omitted jsonb,
  constraint messages_by_position primary key (group_id, seq)
);
--;;
create unique index messages_by_id on messages (id);
--;;
create unique index messages_by_client_id on messages (group_id, client_message_id, sender_id)
  where client_message_id is not null;
--;;
-- The last message of a sender, which is where their read cursor stands at least.
create index messages_by_sender on messages (group_id, sender_id, seq);
--;;
-- Unread messages that are deleted by now. The event that says so is no measure: the relay may have refused it for good.
create index messages_deleted on messages (group_id, seq) where deleted_at is not null;
--;;
-- Every positioned event of a group that is no message. `effect` is what the relay's connections have to follow.
create table events (
  seq bigint not null,
  created_at timestamptz not null,
  group_id text not null,
  id text not null,
  type text not null,
  payload jsonb not null,
  effect jsonb,
  constraint events_by_position primary key (group_id, seq)
);
--;;
-- Finds the edits of a message when it is deleted and its text has to go.
create index events_of_edits on events (group_id, (payload ->> 'messageId')) where type = 'message-updated';
--;;
-- How far the relay has accepted each group's events, and which process brings them to it. The dispatcher alone writes here, about once a
-- second for a group in which something happens. `active_at`: when something last happened in a group that is not in `backlog`.
create table outbox (
  group_id text primary key,
  dispatched_seq bigint not null default 0,
  active_at timestamptz,
  lease_owner text,
  lease_token bigint not null default 0,
  lease_until timestamptz,
  attempts integer not null default 0,
  retry_at timestamptz
) with (fillfactor = 50);
--;;
-- The groups that may have events which the relay has not accepted: what the safety net's poll looks through. A row is added with the
-- first event and removed by the dispatcher when the group has fallen quiet, both under the group's lock.
create table backlog (
  group_id text primary key
);
--;;
insert into outbox (group_id, dispatched_seq, lease_token, active_at)
select id, dispatched_seq, lease_token, active_at from groups;
--;;
insert into backlog (group_id) select id from groups where seq > dispatched_seq;
--;;
-- Up to `floor_seq` the history has been removed, and with it messages up to the ordinal `floor_ordinal`. `retention_days`: see RETENTION_DAYS.
alter table groups
  add column floor_seq bigint not null default 0,
  add column floor_ordinal bigint not null default 0,
  add column member_count integer not null default 0,
  add column retention_days integer;
--;;
update groups g set member_count = (select count(*) from group_members m where m.group_id = g.id);
--;;
-- Pages of members.
create index group_members_by_joining on group_members (group_id, joined_at, user_id);
--;;
-- Every change of a group takes this lock first, and holds it until its transaction ends.
create function group_lock(group_id text) returns bigint language sql immutable parallel safe
  return hashtextextended(group_id, 4701126);
--;;
-- A function's statements see what was committed before each of them: the second one sees everything that came before the lock.
create function lock_group(asked text) returns table (epoch text, deleted_at timestamptz) language plpgsql as $$
#variable_conflict use_column
begin
  perform pg_advisory_xact_lock(group_lock(asked));
  return query select g.epoch, g.deleted_at from groups g where g.id = asked;
end $$;
--;;
-- Saves messages of one or more groups, each at the next position of its group. The answer has a row for each: `saved`; `known`, at `seq`,
-- where the sender has sent one with this client id before; `absent` where there is no such group, or the sender is not in it. Without
-- `waits`, messages of groups that another transaction has locked are left out. No two of one call may have the same sender and client id.
-- The planner may know nothing of the tables yet: it is kept from reading any of them whole. And it would plan the statement anew for each call,
-- because it takes every array for one of ten rows otherwise, which takes longer than everything else. A client id is looked for by
-- comparisons that only its index can answer: by statistics a sender has hardly a message in a group, and reading them all costs no more.
create function save_messages(
  waits boolean, group_ids text[], sender_ids text[], ids text[], client_ids text[], contents text[], attachment_lists text[]
) returns table (place bigint, outcome text, epoch text, seq bigint, created_at timestamptz)
language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  asked text;
  locked text[] := '{}';
  saved_at timestamptz;
begin
  for asked in select distinct g from unnest(group_ids) as g order by g loop
    if waits then
      perform pg_advisory_xact_lock(group_lock(asked));
      locked := locked || asked;
    elsif pg_try_advisory_xact_lock(group_lock(asked)) then
      locked := locked || asked;
    end if;
  end loop;
  saved_at := date_trunc('milliseconds', clock_timestamp());
  return query
  with input as materialized (
    select i.*, g.epoch, g.floor_seq, g.floor_ordinal, m.read_seq, d.seq as known_seq
    from unnest(group_ids, sender_ids, ids, client_ids, contents, attachment_lists)
      with ordinality as i (group_id, sender_id, id, client_id, content, attachments, place)
    left join lateral (
      select epoch, floor_seq, floor_ordinal from groups where groups.id = i.group_id and deleted_at is null limit 1
    ) g on true
    left join lateral (
      select read_seq from group_members where group_id = i.group_id and user_id = i.sender_id limit 1
    ) m on true
    left join lateral (
      select seq from messages
      where i.client_id is not null and client_message_id is not null and group_id = i.group_id
        and (client_message_id, sender_id) >= (i.client_id, i.sender_id)
        and (client_message_id, sender_id) <= (i.client_id, i.sender_id) limit 1
    ) d on true
    where i.group_id = any(locked)
  ), head as (
    select f.group_id, greatest(l.seq, e.seq, f.floor_seq) as seq, coalesce(l.ordinal, f.floor_ordinal) as ordinal
    from (select distinct group_id, floor_seq, floor_ordinal from input where epoch is not null) f
    left join lateral (
      select seq, ordinal from messages where group_id = f.group_id order by seq desc limit 1
    ) l on true
    left join lateral (select seq from events where group_id = f.group_id order by seq desc limit 1) e on true
  ), saved as (
    insert into messages (
      group_id, seq, ordinal, id, sender_id, client_message_id, content, attachments, created_at
    )
    select n.group_id, head.seq + n.nth, head.ordinal + n.nth, n.id, n.sender_id, n.client_id, n.content,
      n.attachments::jsonb, saved_at
    from (
      select *, row_number() over (partition by group_id order by place) as nth
      from input where epoch is not null and read_seq is not null and known_seq is null
    ) n join head on head.group_id = n.group_id
    returning group_id, seq, id, sender_id
  ), first_words as (
    update group_members m set read_seq = s.seq
    from (
      select distinct on (saved.group_id, saved.sender_id) saved.group_id, saved.sender_id, saved.seq
      from saved join input on input.id = saved.id and input.read_seq = 0
    ) s
    where m.group_id = s.group_id and m.user_id = s.sender_id
  ), opened as (
    insert into backlog (group_id) select distinct s.group_id from saved s
    where not exists (select 1 from backlog b where b.group_id = s.group_id)
    on conflict do nothing
  )
  select i.place,
    case when s.id is not null then 'saved' when i.epoch is null or i.read_seq is null then 'absent'
      else 'known' end,
    i.epoch, coalesce(s.seq, i.known_seq), saved_at
  from input i left join saved s on s.id = i.id;
end $$;
--;;
-- Writes how far a dispatcher has come with groups that it holds, by their tokens, and keeps the leases. A group that `closes` is given back where
-- nothing is left: the group's lock keeps events from slipping in between. The answer has `held`, `more` (not given back: there are
-- further events), `released`, or `lost` where the token is too old, and nothing was changed.
create function settle_groups(group_ids text[], tokens bigint[], seqs bigint[], closes boolean[], lease interval)
returns table (group_id text, state text) language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  asked text;
  is_last boolean;
begin
  for n in 1 .. coalesce(array_length(group_ids, 1), 0) loop
    asked := group_ids[n];
    is_last := false;
    if closes[n] and pg_try_advisory_xact_lock(group_lock(asked)) then
      is_last := seqs[n] >= greatest(
        (select m.seq from messages m where m.group_id = asked order by m.seq desc limit 1),
        (select e.seq from events e where e.group_id = asked order by e.seq desc limit 1), 0);
    end if;
    update outbox o set dispatched_seq = seqs[n], attempts = 0, retry_at = null,
      lease_until = case when is_last then null else clock_timestamp() + lease end,
      active_at = case when is_last then greatest(o.active_at,
        (select m.created_at from messages m where m.group_id = asked order by m.seq desc limit 1),
        (select e.created_at from events e where e.group_id = asked order by e.seq desc limit 1)) else o.active_at end
    where o.group_id = asked and o.lease_token = tokens[n];
    if not found then
      return query select asked, 'lost';
    elsif is_last then
      delete from backlog b where b.group_id = asked;
      return query select asked, 'released';
    else
      return query select asked, case when closes[n] then 'more' else 'held' end;
    end if;
  end loop;
end $$;
