-- repeat
-- Ten thousand messages at a time, in the order of their places: what is copied says where to go on.
with last as (
  select group_id, seq, ordinal from messages order by group_id desc, seq desc limit 1
), next as (
  select * from messages_0003
  where (group_id, seq) > (coalesce((select group_id from last), ''), coalesce((select seq from last), 0))
  order by group_id, seq limit 10000
)
insert into messages (
  group_id, seq, ordinal, id, sender_id, client_message_id, content, attachments, created_at, updated_at, deleted_at, omitted
)
select next.group_id, next.seq,
  row_number() over (partition by next.group_id order by next.seq) + coalesce(last.ordinal, 0),
  next.id, next.sender_id, next.client_message_id, next.content, next.attachments, next.created_at, next.updated_at,
  next.deleted_at, case when e.id is not null then jsonb_build_object('id', e.id, 'code', e.payload ->> 'code') end
from next
left join last on last.group_id = next.group_id
left join events_0003 e on e.group_id = next.group_id and e.seq = next.seq and e.type = 'event-omitted'
