import { chromium } from 'playwright-core';
const b = await chromium.launch({executablePath:'/usr/bin/chromium',args:['--no-sandbox']});
const open = async (user)=>{ const c = await b.newContext({viewport:{width:520,height:560}}); const p = await c.newPage();
p.on('console',m=>console.log(user,'CONSOLE',m.text())); p.on('pageerror',e=>console.log(user,'ERR',e.message));
p.on('websocket',w=>{console.log(user,w.url());w.on('framesent',f=>console.log(user,'>',String(f.payload).slice(0,120)));w.on('framereceived',f=>console.log(user,'<',String(f.payload).slice(0,200)));w.on('close',()=>console.log(user,'closed'));w.on('socketerror',e=>console.log(user,e))});
await p.goto('http://localhost:4000/login?user='+user+'&to=aurora'); await p.waitForTimeout(2500); await p.getByText('Corner shop').click(); return p;};
const [a,c]=await Promise.all(['alice','bob'].map(open));
await a.getByRole('button',{name:'Call'}).click(); await a.waitForTimeout(1500);
await b.close();
