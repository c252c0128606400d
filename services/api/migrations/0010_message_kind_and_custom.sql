-- `kind`: null stands for `text`.
alter table messages add column kind text, add column custom jsonb;
--;;
-- Saves messages of one or more groups, each at the next position of its group. The answer has a row for each, with the profile of its sender:
-- `saved`; `known`, at `seq`, where the sender has sent one with this client id before; `absent` where there is no such group, or the sender is
-- not in it. The function with fewer parameters stays, for processes of the version before. Without `waits`, messages of groups that another transaction has locked are left out. No two of one call may have the same sender and client id.
-- The planner may know nothing of the tables yet: it is kept from reading any of them whole. And it would plan the statement anew for each call,
-- because it takes every array for one of ten rows otherwise, which takes longer than everything else. A client id is looked for by
-- comparisons that only its index can answer: by statistics a sender has hardly a message in a group, and reading them all costs no more.
create function save_messages(
  waits boolean, group_ids text[], sender_ids text[], ids text[], client_ids text[], contents text[], attachment_lists text[],
  kinds text[], customs text[]
) returns table (
  place bigint, outcome text, epoch text, seq bigint, created_at timestamptz,
  sender_name text, sender_picture text, sender_custom jsonb
)
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
    from unnest(group_ids, sender_ids, ids, client_ids, contents, attachment_lists, kinds, customs)
      with ordinality as i (group_id, sender_id, id, client_id, content, attachments, kind, custom, place)
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
      group_id, seq, ordinal, id, sender_id, client_message_id, content, attachments, kind, custom, created_at
    )
    select n.group_id, head.seq + n.nth, head.ordinal + n.nth, n.id, n.sender_id, n.client_id, n.content,
      n.attachments::jsonb, n.kind, n.custom::jsonb, saved_at
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
    i.epoch, coalesce(s.seq, i.known_seq), saved_at, u.name, u.picture, u.custom
  from input i left join saved s on s.id = i.id
  left join lateral (
    select coalesce(own_name, name) as name, coalesce(own_picture, picture) as picture, custom
    from users where users.id = i.sender_id limit 1
  ) u on true;
end $$;
