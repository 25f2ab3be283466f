;; Asks for the headers x-b and x-a, and refuses with the value of x-a.
;;; module
(data (i32.const 1024) "x-bx-a\00\00\00\04\00\00\03\00\00\00\03\04\00\00\03\00\00\00")
;;; configure
(call $needs (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1032) (i32.const 2))
;;; pick
(if (i32.eqz (i32.load8_u offset=12 (local.get $headers))) (then (return (call $verdict (i32.const 3) (i32.const 0)))))
(call $refuse (i32.const 418) (i32.load offset=16 (local.get $headers)) (i32.load offset=20 (local.get $headers)))
