\set u random(1, :users)
SELECT * FROM decide(:u::bigint, ARRAY[:surface || '_1', :surface || '_2', :surface || '_3', :surface || '_4', :surface || '_5'], '{"device": "mobile"}');
