;; Has something against every setting.
;;; module
(data (i32.const 1024) "slots: must be\n1 or more")
;;; configure
(i32.store8 (i32.const 192) (i32.const 1))
(i32.store (i32.const 196) (i32.const 1024))
(i32.store (i32.const 200) (i32.const 24))
(i32.const 192)
