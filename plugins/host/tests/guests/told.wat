;; Parks for 10,000 × lists of members it was told + 100 × changes of standing + the first node's state × 10 + nodes.
;;; module
(global $members (mut i32) (i32.const 0))
(global $changes (mut i32) (i32.const 0))
(global $first (mut i32) (i32.const 0))
;;; members
(global.set $count (local.get $len))
(global.set $members (i32.add (global.get $members) (i32.const 1)))
(if (local.get $states) (then (global.set $first (i32.load8_u (local.get $state)))))
(call $forget)
;;; standing
(global.set $changes (i32.add (global.get $changes) (i32.const 1)))
(if (local.get $states) (then (global.set $first (i32.load8_u (local.get $state)))))
(call $forget)
;;; pick
(call $verdict (i32.const 3)
  (i32.add (i32.add (i32.mul (global.get $members) (i32.const 10000)) (i32.mul (global.get $changes) (i32.const 100)))
    (i32.add (i32.mul (global.get $first) (i32.const 10)) (global.get $count))))
